/* MessagePack for the test client: msgpack-c on one side, json-c on the
 * other.  Only what the doors use: maps with string keys, no bin, no ext. */
#include "lib/client.h"

#include <string.h>

#include <json-c/json.h>
#include <msgpack.h>

#include "base/mem.h"

static void pack(msgpack_packer *pk, struct json_object *o)
{
	size_t i, n;

	switch (json_object_get_type(o)) {
	case json_type_null:
		msgpack_pack_nil(pk);
		break;
	case json_type_boolean:
		if (json_object_get_boolean(o))
			msgpack_pack_true(pk);
		else
			msgpack_pack_false(pk);
		break;
	case json_type_double:
		msgpack_pack_double(pk, json_object_get_double(o));
		break;
	case json_type_int:
		msgpack_pack_int64(pk, json_object_get_int64(o));
		break;
	case json_type_string:
		n = (size_t)json_object_get_string_len(o);
		msgpack_pack_str(pk, n);
		msgpack_pack_str_body(pk, json_object_get_string(o), n);
		break;
	case json_type_array:
		n = json_object_array_length(o);
		msgpack_pack_array(pk, n);
		for (i = 0; i < n; i++)
			pack(pk, json_object_array_get_idx(o, i));
		break;
	case json_type_object:
		msgpack_pack_map(pk, (size_t)json_object_object_length(o));
		json_object_object_foreach(o, name, value)
		{
			msgpack_pack_str(pk, strlen(name));
			msgpack_pack_str_body(pk, name, strlen(name));
			pack(pk, value);
		}
		break;
	}
}

char *mp_pack(struct json_object *o, size_t *len_r)
{
	msgpack_sbuffer sb;
	msgpack_packer pk;
	char *copy;

	msgpack_sbuffer_init(&sb);
	msgpack_packer_init(&pk, &sb, msgpack_sbuffer_write);
	pack(&pk, o);
	copy = tl_memdup(sb.data, sb.size);
	*len_r = sb.size;
	msgpack_sbuffer_destroy(&sb);
	return copy;
}

static struct json_object *tree(const msgpack_object *m)
{
	struct json_object *o;
	uint32_t i;
	char *name;

	switch (m->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		return json_object_new_boolean(m->via.boolean);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return json_object_new_uint64(m->via.u64);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return json_object_new_int64(m->via.i64);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_object_new_double(m->via.f64);
	case MSGPACK_OBJECT_STR:
		return json_object_new_string_len(m->via.str.ptr,
						  (int)m->via.str.size);
	case MSGPACK_OBJECT_ARRAY:
		o = json_object_new_array();
		for (i = 0; i < m->via.array.size; i++)
			json_object_array_add(o, tree(&m->via.array.ptr[i]));
		return o;
	case MSGPACK_OBJECT_MAP:
		o = json_object_new_object();
		for (i = 0; i < m->via.map.size; i++) {
			name = tl_strndup(m->via.map.ptr[i].key.via.str.ptr,
					  m->via.map.ptr[i].key.via.str.size);
			json_object_object_add(o, name,
					       tree(&m->via.map.ptr[i].val));
			tl_free(name);
		}
		return o;
	default:
		return NULL;
	}
}

struct json_object *mp_unpack(const void *p, size_t len)
{
	struct json_object *o = NULL;
	msgpack_unpacked u;
	size_t off = 0;

	msgpack_unpacked_init(&u);
	if (msgpack_unpack_next(&u, p, len, &off) == MSGPACK_UNPACK_SUCCESS &&
	    off == len)
		o = tree(&u.data);
	msgpack_unpacked_destroy(&u);
	return o;
}
