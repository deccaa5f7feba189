/*
 * admin_doctor.h - what `tallyctl doctor` finds, for the dashboard.
 */
#ifndef TALLY_APP_ADMIN_ADMIN_DOCTOR_H
#define TALLY_APP_ADMIN_ADMIN_DOCTOR_H

#include "http/http.h"

extern const struct route ADMIN_DOCTOR_ROUTES[];

#endif
