/*
 * ctl_socket.h - inside the room: making both ends of the socket.
 */
#ifndef TALLY_CTL_CTL_SOCKET_H
#define TALLY_CTL_CTL_SOCKET_H

#include "ctl/ctl.h"

/* Non-blocking, close-on-exec, listening. */
enum tl_status ctl_socket_listen(const char *state_dir, int *fd_r,
				 struct tl_err *err) TL_MUST_CHECK;
/* Blocking, close-on-exec; the wait for a full queue ends at timeout_ms. */
enum tl_status ctl_socket_connect(const char *state_dir, uint32_t timeout_ms,
				  int *fd_r, struct tl_err *err) TL_MUST_CHECK;
/* The file becomes the group's, too. */
enum tl_status ctl_socket_share(const char *state_dir, gid_t gid,
				struct tl_err *err) TL_MUST_CHECK;
void ctl_socket_unlink(const char *state_dir);

#endif
