/*
 * cmd_completion.c - completion bash|zsh: scripts made of the command table,
 * so that they know what this tallyctl knows.
 *
 * Both look for the words that are no options, find the command (one word or
 * two) and offer what may come next.  Files are offered where a command takes
 * one.
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
			(void)printf(" %.*s", (int)first_len(c->name), c->name);
}

static void print_second_words(const struct ctl_command *of)
{
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++)
		if (same_first(c->name, of->name) &&
		    c->name[first_len(c->name)] != '\0')
			(void)printf(" %s", c->name + first_len(c->name) + 1);
}

static bool takes_file(const struct ctl_command *c)
{
	for (const struct ctl_arg *a = c->args; a != NULL && a->name != NULL;
	     a++)
		if (strcmp(a->name, "file") == 0)
			return true;
	return false;
}

static void print_options(const struct ctl_command *c)
{
	for (const struct ctl_arg *a = c->args; a != NULL && a->name != NULL;
	     a++) {
		if (a->kind != CTL_ARG_TEXT && a->kind != CTL_ARG_NUMBER &&
		    a->kind != CTL_ARG_FLAG) {
			if (strcmp(a->name, "shell") == 0)
				(void)fputs(" bash zsh", stdout);
			continue;
		}
		(void)fputs(" --", stdout);
		for (const char *p = a->name; *p != '\0'; p++)
			(void)putchar(*p == '_' ? '-' : *p);
	}
	(void)fputs(" --json", stdout);
}

/* What stands for a command's line: a `case` pattern and its words. */
static void print_cases(void)
{
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		bool two = c->name[first_len(c->name)] != '\0';

		(void)printf("\t'%s%s'*) list='", c->name, two ? "" : " ");
		print_options(c);
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
	(void)puts(" --json' ;;");
}

static const char bash_head[] =
	"# bash completion of tallyctl; made by 'tallyctl completion bash'\n"
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
	"\t-[cs]) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\tesac\n"
	"\tcase \"${said[0]-} ${said[1]-} \" in\n";
static const char bash_tail[] =
	"\tesac\n"
	"\tCOMPREPLY=($(compgen -W \"$list\" -- \"$cur\"))\n"
	"\tif [ -n \"$files\" ] && [[ $cur != -* ]]; then\n"
	"\t\tCOMPREPLY+=($(compgen -f -- \"$cur\"))\n"
	"\tfi\n"
	"}\n"
	"complete -o filenames -F _tallyctl tallyctl\n";

static const char zsh_head[] =
	"#compdef tallyctl\n"
	"# zsh completion of tallyctl; made by 'tallyctl completion zsh'\n"
	"_tallyctl()\n"
	"{\n"
	"\tlocal i list='' files='' before=${words[CURRENT-1]}\n"
	"\tlocal -a said\n"
	"\tfor ((i = 2; i < CURRENT; i++)); do\n"
	"\t\tcase ${words[i]} in\n"
	"\t\t-[cos]) ((i++)) ;;\n"
	"\t\t-*) ;;\n"
	"\t\t*) said+=(\"${words[i]}\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase $before in\n"
	"\t-[cs]) _files; return ;;\n"
	"\tesac\n"
	"\tcase \"${said[1]-} ${said[2]-} \" in\n";
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
	print_cases();
	(void)fputs(bash ? bash_tail : zsh_tail, stdout);
	return EXIT_OK;
}
