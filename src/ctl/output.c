/* SPDX-License-Identifier: MIT */
#include "ctl/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl/json.h"
#include "ctl/pager.h"
#include "ctl/report.h"
#include "ctl/text.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* Rows and columns of the terminal that standard output is; 0 where it is none. */
static struct winsize terminal_size(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};
	uint32_t width;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return (struct winsize){0};
	if (columns && parse_u32(columns, 1, UINT16_MAX, &width) == 0)
		size.ws_col = (unsigned short)width;
	return size;
}

/* Whether standard output can do more than show one line below the other. */
static bool is_capable(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

static bool has_colour(void)
{
	const char *no_colour = getenv("NO_COLOR");

	return is_capable() && (!no_colour || !*no_colour);
}

TableStyle output_style(const Output *output)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (TableStyle){
		.width = terminal_size().ws_col,
		.colour = has_colour(),
		.no_legend = output->no_legend,
		.now_real_usec =
			(uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC,
	};
}

int output_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	report_error("standard output cannot be written: %s", strerror(errno));
	return -EIO;
}

/* Writes TEXT out, by way of the pager where it is long. */
static int show(const Output *output, const char *text)
{
	size_t rows = terminal_size().ws_row, lines = 0;

	for (const char *p = text; rows && (p = strchr(p, '\n')); p++)
		lines++;
	if (rows && lines >= rows && !output->no_pager && is_capable() && pager_show(text) == 0)
		return 0;
	fputs(text, stdout);
	return output_flush();
}

static int out_of_memory(void)
{
	report_error("%s", strerror(ENOMEM));
	return -ENOMEM;
}

int output_list(const Output *output, const Column columns[], size_t count, const RecordList *list,
		const char *what)
{
	_cleanup_free_ char *text = NULL;
	TableStyle style = output_style(output);
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int r;

	if (!f)
		return out_of_memory();
	r = output->json ? json_print_list(f, list)
			 : table_print(f, &style, columns, count, list, what);
	if (fclose(f) != 0 || r < 0)
		return out_of_memory();
	return show(output, text);
}

int output_record(const Output *output, const Column columns[], size_t count, const Record *record)
{
	_cleanup_free_ char *text = NULL, *json = NULL;
	TableStyle style = output_style(output);
	size_t size;
	FILE *f;
	int r;

	if (output->json) {
		json = json_format(record, true);
		if (!json)
			return out_of_memory();
		puts(json);
		return output_flush();
	}
	f = open_memstream(&text, &size);
	if (!f)
		return out_of_memory();
	r = table_print_record(f, &style, columns, count, record);
	if (fclose(f) != 0 || r < 0)
		return out_of_memory();
	return show(output, text);
}

int output_done(const Output *output, const Record *record, const char *format, ...)
{
	_cleanup_free_ char *text = NULL, *safe = NULL;
	va_list arguments;
	int size;

	if (output->json)
		return output_record(output, NULL, 0, record);
	va_start(arguments, format);
	size = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (size < 0) {
		text = NULL;
		return out_of_memory();
	}
	safe = text_escape(text);
	if (!safe)
		return out_of_memory();
	puts(safe);
	return output_flush();
}
