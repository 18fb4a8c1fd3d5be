/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

void dsvl_capture_begin(dsvl_capture *capture)
{
    fflush(stderr);
    capture->saved = -1;
    capture->file = memfd_create("stderr", MFD_CLOEXEC);
    if (capture->file < 0) return;
    capture->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (capture->saved < 0 || dup2(capture->file, STDERR_FILENO) < 0) {
        if (capture->saved >= 0) close(capture->saved);
        close(capture->file);
        capture->saved = -1;
    }
}

void dsvl_capture_end(dsvl_capture *capture, char *text, size_t size)
{
    text[0] = '\0';
    if (capture->saved < 0) return;
    fflush(stderr);
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    ssize_t n = pread(capture->file, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(capture->file);
    capture->saved = -1;
}
