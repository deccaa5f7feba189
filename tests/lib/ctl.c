#include "lib/ctl.h"

struct json_object *answer;

void ctl_forget(void)
{
	json_object_put(answer);
	answer = NULL;
}

int ctl_of(const struct daemon *of, const char *const *args)
{
	ctl_forget();
	return daemon_ctl(of, &answer, args);
}

static struct json_object *member(const char *path)
{
	struct json_object *o = json_at(answer, path);

	ck_assert_msg(o != NULL, "no '%s' in %s", path,
		      json_object_to_json_string(answer));
	return o;
}

int64_t number(const char *path)
{
	return json_object_get_int64(member(path));
}

double real(const char *path)
{
	return json_object_get_double(member(path));
}

const char *text(const char *path)
{
	return json_object_get_string(member(path));
}

size_t items(const char *path)
{
	struct json_object *o = member(path);

	ck_assert_msg(json_object_is_type(o, json_type_array),
		      "'%s' is no array in %s", path,
		      json_object_to_json_string(answer));
	return json_object_array_length(o);
}
