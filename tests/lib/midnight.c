#include "config.h"

#include "lib/midnight.h"

#include <stdio.h>
#include <time.h>

#include "lib/faketime.h"
#include "lib/fixture.h"

bool midnight_possible(void)
{
	return faketime_possible();
}

void midnight_up(int seconds)
{
	char shift[64];
	long now = (long)time(NULL);

	snprintf(shift, sizeof(shift), "+%lds", 86400 - now % 86400 - seconds);
	faketime_shift(d, shift);
	fixture_again();
}
