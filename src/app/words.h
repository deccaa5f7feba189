/*
 * words.h - the words that members of several features' bodies are one of.
 */
#ifndef TALLY_APP_WORDS_H
#define TALLY_APP_WORDS_H

#include "codec/shape.h"

extern const struct shape WORDS_USER_STATUS;
extern const struct shape WORDS_KEY_STATUS;
extern const struct shape WORDS_ROLE;
extern const struct shape WORDS_LIMIT_ALGORITHM;
extern const struct shape WORDS_LIMIT_SCOPE;
extern const struct shape WORDS_DECISION_DOOR;
extern const struct shape WORDS_DECISION_CODE;
extern const struct shape WORDS_DECISION_REASON;

#endif
