#include "transcode/sandbox/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace ribalta::transcode {
namespace {

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{Descriptor{ends[0]}, Descriptor{ends[1]}};
}

std::string words(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit " + std::to_string(WEXITSTATUS(status));
}

/// Between fork and exec in a process with threads: system calls alone.
[[noreturn]] void become_child(const char* program, const std::array<int, 4>& wanted, int niceness, pid_t parent) {
  // First out of the way of the numbers that are given out below.
  std::array<int, 4> moved{};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    moved[i] = wanted[i] < 0 ? -1 : ::fcntl(wanted[i], F_DUPFD_CLOEXEC, 10);
    if (wanted[i] >= 0 && moved[i] < 0) ::_exit(126);
  }
  for (std::size_t i = 0; i < moved.size(); ++i) {
    if (moved[i] < 0) {
      ::close(static_cast<int>(i));
      continue;
    }
    if (::dup2(moved[i], static_cast<int>(i)) < 0) ::_exit(126);
  }
  ::syscall(SYS_close_range, 4U, ~0U, 0U);
  ::setsid();  // Ctrl-C in a terminal is for the parent, which drains
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(126);
  if (niceness != 0) ::setpriority(PRIO_PROCESS, 0, niceness);
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  char name[] = "ribalta-transcode";
  char flag[] = "--media-child";
  char* arguments[] = {name, flag, nullptr};
  char locale[] = "LC_ALL=C";
  char* environment[] = {locale, nullptr};
  ::execve(program, arguments, environment);
  ::_exit(127);
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    value_ = other.release();
  }
  return *this;
}

int Descriptor::release() { return std::exchange(value_, -1); }

void Descriptor::reset() {
  if (value_ >= 0) ::close(value_);
  value_ = -1;
}

Result<ChildProcess> ChildProcess::start(const ChildOptions& options) {
  Result<Pipe> in = make_pipe();
  if (!in) return pass(in);
  Result<Pipe> out = make_pipe();
  if (!out) return pass(out);
  Result<Pipe> log = make_pipe();
  if (!log) return pass(log);
  const std::string program = options.program.empty() ? "/proc/self/exe" : options.program.string();
  const std::array<int, 4> wanted{in->read.get(), out->write.get(), log->write.get(), options.input};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("start the media child");
  if (pid == 0) become_child(program.c_str(), wanted, options.niceness, parent);
  ChildProcess child{pid};
  child.to_child = std::move(in->write);
  child.from_child = std::move(out->read);
  child.log = std::move(log->read);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : to_child(std::move(other.to_child)),
      from_child(std::move(other.from_child)),
      log(std::move(other.log)),
      pid_(std::exchange(other.pid_, -1)) {}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  kill();
  wait();
}

void ChildProcess::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

std::optional<std::string> ChildProcess::ended() {
  if (pid_ < 0) return "ended before";
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = -1;
  return words(status);
}

std::string ChildProcess::wait() {
  if (pid_ < 0) return "ended before";
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return words(status);
}

}  // namespace ribalta::transcode
