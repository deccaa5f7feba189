#include "codec/schema.h"

static void set_text(struct tl_arena *a, struct doc *o, const char *name,
		     const char *text)
{
	doc_set(a, o, name, doc_str(a, tl_str_c(text)));
}

/* "string", or ["string", "null"]. */
static void set_type(struct tl_arena *a, struct doc *o, const char *type,
		     const struct shape_field *f)
{
	struct doc *both;

	if ((f->flags & SHAPE_NULLABLE) == 0) {
		set_text(a, o, "type", type);
		return;
	}
	both = doc_array(a);
	doc_push(a, both, doc_str(a, tl_str_c(type)));
	doc_push(a, both, doc_str(a, TL_STR("null")));
	doc_set(a, o, "type", both);
}

static void set_bounds(struct tl_arena *a, struct doc *o,
		       const struct shape_field *f, const char *min,
		       const char *max)
{
	if (f->min == 0 && f->max == 0)
		return;
	doc_set(a, o, min, doc_int(a, f->min));
	doc_set(a, o, max, doc_int(a, f->max));
}

static void set_format(struct tl_arena *a, struct doc *o,
		       const struct shape_field *f, const char *type,
		       const char *format)
{
	set_type(a, o, type, f);
	set_text(a, o, "format", format);
}

static void set_items(struct tl_arena *a, struct doc *o,
		      const struct shape_field *f, const struct doc *items)
{
	set_type(a, o, "array", f);
	doc_set(a, o, "items", items);
	set_bounds(a, o, f, "minItems", "maxItems");
}

static const struct doc *string_schema(struct tl_arena *a)
{
	struct doc *o = doc_object(a);

	set_text(a, o, "type", "string");
	return o;
}

/* A reference may be null only as one of two. */
static void set_ref(struct tl_arena *a, struct doc *o,
		    const struct shape_field *f, const struct doc *ref)
{
	struct doc *null, *either;

	if ((f->flags & SHAPE_NULLABLE) == 0) {
		doc_set(a, o, "$ref", doc_get(ref, "$ref"));
		return;
	}
	null = doc_object(a);
	set_text(a, null, "type", "null");
	either = doc_array(a);
	doc_push(a, either, ref);
	doc_push(a, either, null);
	doc_set(a, o, "anyOf", either);
}

static const struct doc *ref_of(struct tl_arena *a, const struct shape *s)
{
	struct doc *o = doc_object(a);

	set_text(a, o, "$ref",
		 tl_arena_printf(a, "#/components/schemas/%s", s->name));
	return o;
}

/* The words that a string is one of; what each says goes into one text. */
static const struct doc *words_ref(struct tl_arena *a, const struct shape *s,
				   struct doc *schemas)
{
	struct doc *o, *words;
	struct tl_buf text;

	if (doc_get(schemas, s->name) != NULL)
		return ref_of(a, s);
	o = doc_object(a);
	words = doc_array(a);
	tl_buf_init(&text);
	for (const struct shape_field *f = s->fields; f->name != NULL; f++) {
		doc_push(a, words, doc_str(a, tl_str_c(f->name)));
		if (f->doc != NULL)
			tl_buf_addf(&text, "%s`%s`: %s",
				    text.len > 0 ? "; " : "", f->name, f->doc);
	}
	set_text(a, o, "type", "string");
	doc_set(a, o, "enum", words);
	if (text.len > 0)
		set_text(a, o, "description",
			 tl_arena_strndup(a, text.ptr, text.len));
	tl_buf_deinit(&text);
	doc_set(a, schemas, s->name, o);
	return ref_of(a, s);
}

const struct doc *schema_of_field(struct tl_arena *a,
				  const struct shape_field *f,
				  struct doc *schemas)
{
	struct doc *o = doc_object(a);

	switch (f->kind) {
	case SHAPE_BOOL:
		set_type(a, o, "boolean", f);
		break;
	case SHAPE_INT:
		set_format(a, o, f, "integer", "int64");
		set_bounds(a, o, f, "minimum", "maximum");
		break;
	case SHAPE_STR:
		if (f->sub != NULL) {
			set_ref(a, o, f, words_ref(a, f->sub, schemas));
			break;
		}
		set_type(a, o, "string", f);
		set_bounds(a, o, f, "minLength", "maxLength");
		break;
	case SHAPE_UUID:
		set_format(a, o, f, "string", "uuid");
		break;
	case SHAPE_TIME:
		set_format(a, o, f, "string", "date-time");
		break;
	case SHAPE_DATE:
		set_format(a, o, f, "string", "date");
		break;
	case SHAPE_USD:
		set_type(a, o, "number", f);
		break;
	case SHAPE_STRS:
		set_items(a, o, f, string_schema(a));
		break;
	case SHAPE_ARRAY:
		set_items(a, o, f, schema_ref(a, f->sub, schemas));
		break;
	case SHAPE_OBJECT:
		set_ref(a, o, f, schema_ref(a, f->sub, schemas));
		break;
	case SHAPE_ANY: /* no word about its type */
		break;
	}
	if (f->doc != NULL)
		set_text(a, o, "description", f->doc);
	return o;
}

static const struct doc *schema_of(struct tl_arena *a, const struct shape *s,
				   struct doc *schemas)
{
	struct doc *o = doc_object(a), *properties = doc_object(a);
	struct doc *required = doc_array(a);

	set_text(a, o, "type", "object");
	for (const struct shape_field *f = s->fields; f->name != NULL; f++) {
		doc_set(a, properties, f->name, schema_of_field(a, f, schemas));
		if ((f->flags & SHAPE_REQUIRED) != 0)
			doc_push(a, required, doc_str(a, tl_str_c(f->name)));
	}
	doc_set(a, o, "properties", properties);
	if (required->n > 0)
		doc_set(a, o, "required", required);
	return o;
}

const struct doc *schema_ref(struct tl_arena *a, const struct shape *s,
			     struct doc *schemas)
{
	if (doc_get(schemas, s->name) == NULL) {
		doc_set(a, schemas, s->name, doc_null()); /* seen */
		doc_set(a, schemas, s->name, schema_of(a, s, schemas));
	}
	return ref_of(a, s);
}
