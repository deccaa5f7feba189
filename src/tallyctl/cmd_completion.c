/*
 * cmd_completion.c - completion bash|zsh: scripts made of the tables of
 * commands and settings, so that they know what this tallyctl knows.
 *
 * Both look for the words that are no options, find the command (one word or
 * two) and offer what may come next: other words, options, the values of
 * those that have few, names of settings behind -o, files where a command
 * takes one.
 */
#include <stdio.h>
#include <string.h>

#include "tallyctl/tallyctl.h"

/* "key create" begins with "key"; a command of one word has no second. */
static size_t first_len(const char *name)
{
	return strcspn(name, " ");
}

static bool same_first(const char *a, const char *b)
{
	size_t n = first_len(a);

	return first_len(b) == n && strncmp(a, b, n) == 0;
}

/* Is it the first command of its first word? */
static bool leads(const struct ctl_command *c)
{
	for (const struct ctl_command *p = CTL_COMMANDS; p != c; p++)
		if (same_first(p->name, c->name))
			return false;
	return true;
}

static void print_first_words(void)
{
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++)
		if (leads(c))
			(void)printf("%.*s ", (int)first_len(c->name), c->name);
}

static void print_second_words(const struct ctl_command *of)
{
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++)
		if (same_first(c->name, of->name) &&
		    c->name[first_len(c->name)] != '\0')
			(void)printf("%s ", c->name + first_len(c->name) + 1);
}

static bool takes_file(const struct ctl_command *c)
{
	for (const struct ctl_arg *a = c->args; a != NULL && a->name != NULL;
	     a++)
		if (strcmp(a->name, "file") == 0)
			return true;
	return false;
}

/* "csv|jsonl": words to choose from, as the table has them for a value. */
static bool is_choice(const struct ctl_arg *a)
{
	return a->value != NULL && strchr(a->value, '|') != NULL &&
	       strspn(a->value, "abcdefghijklmnopqrstuvwxyz|") ==
		       strlen(a->value);
}

static void print_choice(const struct ctl_arg *a)
{
	for (const char *p = a->value; *p != '\0'; p++)
		(void)putchar(*p == '|' ? ' ' : *p);
}

static bool has_value(const struct ctl_arg *a)
{
	return a->kind == CTL_ARG_TEXT || a->kind == CTL_ARG_NUMBER;
}

static void print_option(const struct ctl_arg *a)
{
	(void)fputs("--", stdout);
	for (const char *p = a->name; *p != '\0'; p++)
		(void)putchar(*p == '_' ? '-' : *p);
}

static void print_what_may_follow(const struct ctl_command *c)
{
	for (const struct ctl_arg *a = c->args; a != NULL && a->name != NULL;
	     a++) {
		if (has_value(a) || a->kind == CTL_ARG_FLAG) {
			print_option(a);
			(void)putchar(' ');
		} else if (is_choice(a)) {
			print_choice(a);
			(void)putchar(' ');
		}
	}
	(void)fputs("--json", stdout);
}

/* Patterns of "FIRST SECOND " and of the same with the word before. */
static void print_pattern(const struct ctl_command *c)
{
	bool two = c->name[first_len(c->name)] != '\0';

	(void)printf("\t'%s%s'*", c->name, two ? "" : " ");
}

/* Behind an option with a value nothing else is offered than its values. */
static void print_values(void)
{
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		for (const struct ctl_arg *a = c->args;
		     a != NULL && a->name != NULL; a++) {
			if (!has_value(a))
				continue;
			print_pattern(c);
			(void)fputs("' ", stdout);
			print_option(a);
			(void)fputs("') list='", stdout);
			if (is_choice(a))
				print_choice(a);
			(void)puts("' ;;");
		}
	}
}

/* What stands for a command's line: a `case` pattern and its words. */
static void print_cases(void)
{
	print_values();
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		print_pattern(c);
		(void)fputs(") list='", stdout);
		print_what_may_follow(c);
		(void)printf("'%s ;;\n", takes_file(c) ? " files=1" : "");
	}
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		if (!leads(c) || c->name[first_len(c->name)] == '\0')
			continue;
		(void)printf("\t'%.*s '*) list='", (int)first_len(c->name),
			     c->name);
		print_second_words(c);
		(void)puts("' ;;");
	}
	(void)fputs("\t' '*) list='", stdout);
	print_first_words();
	(void)puts("-c -h -o -s -V --json' ;;");
}

static void print_settings(void)
{
	const struct conf_doc *setting;

	(void)fputs("_tallyd_settings='", stdout);
	for (size_t i = 0; (setting = conf_doc(i)) != NULL; i++)
		(void)printf("%s%s=", i > 0 ? " " : "", setting->name);
	(void)puts("'");
}

/* Of tallyd(8); a test compares them with what `tallyd -h` says. */
#define TALLYD_OPTIONS "-c -D -h -o -t -V"

static const char bash_head[] =
	"# bash completion of tallyctl and tallyd; made by 'tallyctl "
	"completion bash'\n";
static const char bash_offer[] =
	"_tallyd_offer() # WORDS FILES WORD\n"
	"{\n"
	"\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$3\" || :\n"
	"\t\t[ -z \"$2\" ] || compgen -f -- \"$3\")\n"
	"\t[ -z \"$2\" ] || compopt -o filenames 2>/dev/null\n"
	"\t[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null\n"
	"}\n"
	"_tallyd()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	"\tcase ${COMP_WORDS[COMP_CWORD-1]} in\n"
	"\t-c) _tallyd_offer '' 1 \"$cur\" ;;\n"
	"\t-o) _tallyd_offer \"$_tallyd_settings\" '' \"$cur\" ;;\n"
	"\t*) _tallyd_offer '" TALLYD_OPTIONS "' '' \"$cur\" ;;\n"
	"\tesac\n"
	"}\n"
	"_tallyctl()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} "
	"prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\tlocal i list='' files='' said=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tcase ${COMP_WORDS[i]} in\n"
	"\t\t-[cos]) i=$((i + 1)) ;;\n"
	"\t\t-*) ;;\n"
	"\t\t*) said+=(\"${COMP_WORDS[i]}\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase $prev in\n"
	"\t-[cs]) _tallyd_offer '' 1 \"$cur\"; return ;;\n"
	"\t-o) _tallyd_offer \"$_tallyd_settings\" '' \"$cur\"; return ;;\n"
	"\tesac\n"
	"\tcase \"${said[0]-} ${said[1]-} $prev\" in\n";
static const char bash_tail[] =
	"\tesac\n"
	"\t[[ $cur != -* ]] || files=''\n"
	"\t_tallyd_offer \"$list\" \"$files\" \"$cur\"\n"
	"}\n"
	"complete -F _tallyctl tallyctl\n"
	"complete -F _tallyd tallyd\n";

static const char zsh_head[] =
	"#compdef tallyctl tallyd\n"
	"# zsh completion of tallyctl and tallyd; made by 'tallyctl completion "
	"zsh'\n";
static const char zsh_offer[] =
	"_tallyctl()\n"
	"{\n"
	"\tlocal i list='' files='' prev=${words[CURRENT-1]}\n"
	"\tlocal -a said\n"
	"\tcase $prev in\n"
	"\t-[cs]) _files; return ;;\n"
	"\t-o) compadd -S '' -- ${=_tallyd_settings}; return ;;\n"
	"\tesac\n"
	"\tif [[ $service = tallyd ]]; then\n"
	"\t\tcompadd -- " TALLYD_OPTIONS "\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tfor ((i = 2; i < CURRENT; i++)); do\n"
	"\t\tcase ${words[i]} in\n"
	"\t\t-[cos]) ((i++)) ;;\n"
	"\t\t-*) ;;\n"
	"\t\t*) said+=(\"${words[i]}\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase \"${said[1]-} ${said[2]-} $prev\" in\n";
static const char zsh_tail[] = "\tesac\n"
			       "\tcompadd -- ${=list}\n"
			       "\t[[ -z $files ]] || _files\n"
			       "}\n"
			       "_tallyctl \"$@\"\n";

enum exit_status cmd_completion(struct tallyctl *t)
{
	struct tl_str shell = ctl_text(t->args, "shell");
	bool bash = tl_str_eq(shell, TL_STR("bash"));

	if (!bash && !tl_str_eq(shell, TL_STR("zsh")))
		return complain(EXIT_USAGE,
				"there is no completion for '%.*s'; give bash "
				"or zsh",
				(int)shell.len, shell.ptr);
	(void)fputs(bash ? bash_head : zsh_head, stdout);
	print_settings();
	(void)fputs(bash ? bash_offer : zsh_offer, stdout);
	print_cases();
	(void)fputs(bash ? bash_tail : zsh_tail, stdout);
	return EXIT_OK;
}
