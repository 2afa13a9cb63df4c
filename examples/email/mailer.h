/* mailer.h: one email over SMTP. */
#pragma once

#include "config.h"
#include "email.h"

typedef enum mail { MAIL_SENT, MAIL_LATER, MAIL_REFUSED } mail_t; /* LATER: worth another try; REFUSED: never */

#define MAIL_PROBLEM_BYTES 320

/* Blocks for half a lease at most, so that no other worker may own the email before this one has given up.
 * The Message-ID is made of the id, so that a mail which had to be sent twice can be told to be the same one. */
mail_t mailer_send(const config_t *config, const email_t *email, char problem[MAIL_PROBLEM_BYTES]);
