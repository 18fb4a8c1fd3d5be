/* SPDX-License-Identifier: Apache-2.0 */
/* Program and launcher talk over a socket: a command, and for each an answer, in order. With a process that
 * was forked comes the end of a socket of its own, on which it waits for its work. */
#include "filters/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/alloc.h"

enum { REQUEST_BYTES = 256, COMMANDS = STDERR_FILENO + 1, MOST_DESCRIPTORS = 2 };

struct dsvl_launcher {
    pid_t process;
    pid_t working, ready; /* 0: none */
    int work;             /* the socket of the one that is ready; -1: there is none */
    int profile;          /* of the one that is ready or being forked */
    bool forking;         /* asked for; the answer was not read yet */
    int commands, log;
    size_t request_bytes;
};

typedef struct command {
    pid_t end;   /* kill this process; 0: */
    int profile; /* fork one of this profile */
    bool status; /* wait for the process that is killed, and say how it ended */
} command;

typedef struct answer {
    bool forked;
    pid_t process; /* < 0: could not be forked, and the error says why */
    int status;
    dsvl_error err;
} answer;

/* ---- messages with descriptors ---- */

typedef union rights {
    struct cmsghdr header;
    char room[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
} rights;

static int send_message(int socket, const void *data, size_t bytes, const int *descriptors, size_t count)
{
    union {
        const void *in;
        void *out;
    } borrowed = {data};
    rights control = {.room = ""};
    struct iovec part = {borrowed.out, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof(int));
    }
    ssize_t n;
    do n = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)bytes ? 0 : -1;
}

/* A message of exactly these bytes, and up to `count` descriptors (-1 where none came). */
static int receive_message(int socket, void *data, size_t bytes, int *descriptors, size_t count)
{
    rights control;
    struct iovec part = {data, bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    for (size_t i = 0; i < count; i++) descriptors[i] = -1;
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(count * sizeof(int)))
        memcpy(descriptors, CMSG_DATA(c), count * sizeof(int));
    return n == (ssize_t)bytes ? 0 : -1;
}

/* ---- in the processes ---- */

/* The kernel runs out of memory: then this process is the one to go, and not the one that waits for it. */
static void offer_to_die_first(void)
{
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t n = write(file, "1000", 4);
    (void)n; /* it is an offer */
    close(file);
}

static _Noreturn void run_process(const dsvl_launch *launch, int profile, int work, pid_t parent)
{
    static const int signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
    char request[REQUEST_BYTES];
    int descriptors[2]; /* document, output */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0); /* it died before it could be watched */
    close(COMMANDS);
    offer_to_die_first();
    launch->settle(launch->user, profile);
    if (receive_message(work, request, sizeof request, descriptors, 2) == 0) {
        close(work);
        launch->run(launch->user, request, descriptors[0], descriptors[1]);
    }
    _exit(0);
}

/* ---- in the launcher ---- */

/* *socket: the program's end of the process's socket, -1 when there is none. */
static answer fork_process(const dsvl_launch *launch, int profile, int *socket)
{
    answer a = {.forked = true, .process = -1};
    int ends[2] = {-1, -1};
    pid_t self = getpid();
    *socket = -1;
    if (launch->prepare(launch->user, profile, &a.err)) return a;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0) a.process = fork();
    if (a.process == 0) {
        close(ends[0]);
        run_process(launch, profile, ends[1], self);
    }
    if (a.process < 0) dsvl_fail(&a.err, DSVL_E_MEMORY, "cannot start a process: %s", strerror(errno));
    if (ends[1] >= 0) close(ends[1]);
    *socket = ends[0];
    return a;
}

static void wait_for(pid_t process, int *status)
{
    while (process && waitpid(process, status, 0) < 0 && errno == EINTR) {
    }
}

/* *dying: a process that was killed and is not waited for yet: its end takes as long as the next one's
 * beginning, which need not wait for it. */
static answer end_process(const command *c, pid_t *dying)
{
    answer a = {.process = c->end};
    kill(c->end, SIGKILL); /* one that has ended by itself keeps its status */
    wait_for(*dying, NULL);
    *dying = c->status ? 0 : c->end;
    if (c->status) wait_for(c->end, &a.status);
    return a;
}

/* Nothing of the program stays open here but the sockets; memory that is shared is mapped already. Signals of
 * the terminal are for the program, which ends this process when it ends. */
static _Noreturn void run_launcher(const dsvl_launch *launch, int commands, int log)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
    int nothing = open("/dev/null", O_RDWR), own = fcntl(commands, F_DUPFD, 16);
    bool well = dup2(log, STDERR_FILENO) >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
                dup2(nothing, STDOUT_FILENO) >= 0 && dup2(own, COMMANDS) >= 0;
    closefrom(COMMANDS + 1);
    command c;
    pid_t dying = 0;
    while (well && recv(COMMANDS, &c, sizeof c, 0) == sizeof c) {
        int socket = -1;
        answer a = c.end ? end_process(&c, &dying) : fork_process(launch, c.profile, &socket);
        well = send_message(COMMANDS, &a, sizeof a, &socket, socket >= 0) == 0;
        if (socket >= 0) close(socket);
    }
    _exit(0);
}

/* ---- in the program ---- */

dsvl_launcher *dsvl_launcher_new(const dsvl_launch *launch, dsvl_error *err)
{
    int commands[2] = {-1, -1};
    dsvl_launcher *launcher = dsvl_alloc_zero(1, sizeof *launcher);
    if (!launcher || launch->request_bytes > REQUEST_BYTES) {
        dsvl_fail_memory(err, sizeof *launcher);
        dsvl_dealloc(launcher);
        return NULL;
    }
    launcher->request_bytes = launch->request_bytes;
    launcher->work = -1;
    launcher->log = memfd_create("messages", MFD_CLOEXEC);
    bool well = launcher->log >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, commands) == 0;
    launcher->commands = commands[0];
    launcher->process = well ? fork() : -1;
    if (launcher->process == 0) run_launcher(launch, commands[1], launcher->log);
    if (launcher->process < 0) dsvl_fail(err, DSVL_E_MEMORY, "cannot start a process: %s", strerror(errno));
    if (commands[1] >= 0) close(commands[1]);
    if (launcher->process > 0) return launcher;
    dsvl_launcher_free(launcher);
    return NULL;
}

void dsvl_launcher_stop(dsvl_launcher *launcher)
{
    /* And with it, as they asked, its processes. */
    if (launcher && launcher->process > 0) kill(launcher->process, SIGKILL);
}

void dsvl_launcher_free(dsvl_launcher *launcher)
{
    if (!launcher) return;
    dsvl_launcher_stop(launcher);
    if (launcher->process > 0) {
        while (waitpid(launcher->process, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (launcher->commands >= 0) close(launcher->commands);
    if (launcher->work >= 0) close(launcher->work);
    if (launcher->log >= 0) close(launcher->log);
    dsvl_dealloc(launcher);
}

static int gone(dsvl_error *err)
{
    return dsvl_fail(err, DSVL_E_INTERNAL, "the process that starts the readers of documents is gone");
}

static int send_command(const dsvl_launcher *l, command c, dsvl_error *err)
{
    return send(l->commands, &c, sizeof c, MSG_NOSIGNAL) == sizeof c ? 0 : gone(err);
}

/* The next answer; one about a fork changes what is ready. */
static int read_answer(dsvl_launcher *l, answer *a, dsvl_error *err)
{
    int socket;
    if (receive_message(l->commands, a, sizeof *a, &socket, 1)) return gone(err);
    if (!a->forked) return 0;
    l->forking = false;
    l->ready = a->process > 0 ? a->process : 0;
    l->work = socket;
    if (a->process < 0) *err = a->err;
    return a->process < 0 ? -1 : 0;
}

static int ask_for_process(dsvl_launcher *l, int profile, dsvl_error *err)
{
    l->forking = true;
    l->profile = profile;
    return send_command(l, (command){.profile = profile}, err);
}

int dsvl_launcher_ask(dsvl_launcher *launcher, int profile, dsvl_error *err)
{
    return launcher->forking || launcher->ready ? 0 : ask_for_process(launcher, profile, err);
}

/* Have a process of this profile ready. */
static int need_process(dsvl_launcher *l, int profile, dsvl_error *err)
{
    answer a;
    for (;;) {
        while (l->forking) {
            if (read_answer(l, &a, err)) return -1;
        }
        if (l->ready && l->profile == profile) return 0;
        if (l->ready) {
            close(l->work);
            l->work = -1;
            if (send_command(l, (command){.end = l->ready}, err)) return -1;
            l->ready = 0;
        }
        if (ask_for_process(l, profile, err)) return -1;
    }
}

int dsvl_launcher_start(dsvl_launcher *launcher, int profile, const void *request, int document, bool more,
                        int *output, dsvl_error *err)
{
    int ends[2];
    if (need_process(launcher, profile, err)) return -1;
    if (ftruncate(launcher->log, 0) == 0) lseek(launcher->log, 0, SEEK_SET);
    if (pipe2(ends, O_CLOEXEC))
        return dsvl_fail(err, DSVL_E_MEMORY, "cannot make a pipe: %s", strerror(errno));
    const int descriptors[] = {document, ends[1]};
    char padded[REQUEST_BYTES] = "";
    memcpy(padded, request, launcher->request_bytes);
    int status = send_message(launcher->work, padded, sizeof padded, descriptors, 2);
    if (status) gone(err);
    close(ends[1]);
    close(launcher->work);
    launcher->work = -1;
    launcher->working = launcher->ready;
    launcher->ready = 0;
    if (status == 0 && more) status = ask_for_process(launcher, profile, err);
    if (status) close(ends[0]);
    *output = status ? -1 : ends[0];
    return status;
}

double dsvl_launcher_seconds(const dsvl_launcher *launcher)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(launcher->working, &clock) || clock_gettime(clock, &t)) return 0;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The last line of the log that says something. */
static void read_log(int log, char said[256])
{
    off_t length = lseek(log, 0, SEEK_END), from = length > 255 ? length - 255 : 0;
    ssize_t n = pread(log, said, 255, from);
    while (n > 0 && (said[n - 1] == '\n' || said[n - 1] == '\0')) n--;
    said[n > 0 ? n : 0] = '\0';
    const char *line = strrchr(said, '\n');
    if (line) memmove(said, line + 1, strlen(line + 1) + 1);
}

int dsvl_launcher_end(dsvl_launcher *launcher, dsvl_launch_end *end, dsvl_error *err)
{
    answer a = {0};
    pid_t process = launcher->working;
    launcher->working = 0;
    /* At once: what it could still do would be done to the next document. It is a child until the command
     * comes. */
    if (!end) kill(process, SIGKILL);
    if (send_command(launcher, (command){.end = process, .status = end != NULL}, err)) return -1;
    if (!end) return 0;
    while (a.forked || a.process != process) {
        dsvl_error other = {0}; /* a fork ahead that failed is tried again when it is needed */
        if (read_answer(launcher, &a, &other) && !a.forked) {
            *err = other;
            return -1;
        }
    }
    end->status = a.status;
    read_log(launcher->log, end->said);
    return 0;
}
