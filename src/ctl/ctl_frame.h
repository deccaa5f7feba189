/*
 * ctl_frame.h - inside the room: what goes over the control socket.
 */
#ifndef TALLY_CTL_CTL_FRAME_H
#define TALLY_CTL_CTL_FRAME_H

#include "ctl/ctl.h"

#define CTL_FRAME_HEAD 4

/* Each appends one whole frame.  args may be NULL. */
void ctl_frame_request(struct tl_buf *out, const char *cmd,
		       const struct doc *args);
void ctl_frame_result(struct tl_buf *out, const struct doc *result);
void ctl_frame_refusal(struct tl_buf *out, const struct tl_err *err);

/* Length of the body behind a head; TL_INVALID when over CTL_FRAME_MAX. */
enum tl_status ctl_frame_length(const uint8_t head[CTL_FRAME_HEAD],
				uint32_t *body_bytes_r,
				struct tl_err *err) TL_MUST_CHECK;
/* *args_r is never NULL. */
enum tl_status ctl_frame_parse_request(struct tl_arena *a, struct tl_str body,
				       struct tl_str *cmd_r,
				       const struct doc **args_r,
				       struct tl_err *err) TL_MUST_CHECK;
/* A refusal becomes its status and words. */
enum tl_status ctl_frame_parse_answer(struct tl_arena *a, struct tl_str body,
				      const struct doc **result_r,
				      struct tl_err *err) TL_MUST_CHECK;
#endif
