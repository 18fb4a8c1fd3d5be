/* SPDX-License-Identifier: Apache-2.0 */
/* What cli.c calls for --metrics; programs call cli_count. */
#ifndef DSVL_CMD_CLI_METRICS_H
#define DSVL_CMD_CLI_METRICS_H

/* Write the file for the first time, and arrange for the last. -1 with errno when it cannot be written. */
int cli_metrics_begin(const char *path, const char *program);
/* Called for every page: writes the file again when it is some seconds old. */
void cli_metrics_tick(void);

#endif
