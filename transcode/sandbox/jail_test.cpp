// Each thing that a media child may not do is tried, in a process that went to jail as the media child does.
#include "transcode/sandbox/jail.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace ribalta;
using namespace ribalta::transcode;

namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RIBALTA_TEST_SANITIZED 1
#endif
#endif
#ifdef RIBALTA_TEST_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr std::uint64_t kMemory = std::uint64_t{1} << 30;
constexpr int kNoJail = 99;

/// Runs `act` in a process of its own, in jail. @return its exit code, or 1000 and the signal that ended it.
int in_jail(const std::function<int()>& act, std::uint64_t cpu_s = 10) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    if (!enter_jail({.memory_bytes = kMemory, .cpu_s = cpu_s})) ::_exit(kNoJail);
    ::_exit(act());
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

struct Call {
  const char* name;
  long number;
  std::array<long, 6> arguments{};
};

long pointer(const void* to) { return reinterpret_cast<long>(to); }

/// The error that the call gave in jail; 0: it was done.
int error_of(const Call& call) {
  return in_jail([&call] {
    const auto& with = call.arguments;
    const long got = ::syscall(call.number, with[0], with[1], with[2], with[3], with[4], with[5]);
    return got < 0 ? errno : 0;
  });
}

}  // namespace

TEST_CASE("jail: files, network, processes, programs and the kernel's other doors are out of reach") {
  const char* file = "/etc/passwd";
  const char* fresh = "/tmp/ribalta-jail";
  const char* arguments[] = {"true", nullptr};
  const sockaddr_un peer{AF_UNIX, "/run/nobody"};
  const rlimit more{RLIM_INFINITY, RLIM_INFINITY};
  const Call calls[] = {
      // Files.
      {"open", SYS_open, {pointer(file), O_RDONLY}},
      {"openat", SYS_openat, {AT_FDCWD, pointer(file), O_RDONLY}},
      {"openat2", SYS_openat2, {AT_FDCWD, pointer(file)}},
      {"creat", SYS_creat, {pointer(fresh), 0600}},
      {"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD}},
      {"stat", SYS_newfstatat, {AT_FDCWD, pointer(file)}},
      {"readlink", SYS_readlinkat, {AT_FDCWD, pointer("/proc/self/exe")}},
      {"unlink", SYS_unlinkat, {AT_FDCWD, pointer(fresh)}},
      {"rename", SYS_renameat2, {AT_FDCWD, pointer(fresh), AT_FDCWD, pointer(fresh)}},
      {"mkdir", SYS_mkdirat, {AT_FDCWD, pointer(fresh), 0700}},
      {"chdir", SYS_chdir, {pointer("/")}},
      {"chroot", SYS_chroot, {pointer("/")}},
      {"mount", SYS_mount, {pointer("none"), pointer("/")}},
      {"memfd_create", SYS_memfd_create, {pointer("x")}},
      {"ftruncate", SYS_ftruncate, {0}},
      {"ioctl", SYS_ioctl, {0, 0x541B}},
      {"dup", SYS_dup, {0}},
      // Network.
      {"socket", SYS_socket, {AF_INET, SOCK_STREAM}},
      {"socket, local", SYS_socket, {AF_UNIX, SOCK_STREAM}},
      {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
      {"connect", SYS_connect, {0, pointer(&peer), sizeof peer}},
      {"bind", SYS_bind, {0, pointer(&peer), sizeof peer}},
      {"sendto", SYS_sendto, {0, pointer(file), 1}},
      {"sendmsg", SYS_sendmsg, {0}},
      {"recvmsg", SYS_recvmsg, {0}},
      // Processes and programs.
      {"fork", SYS_fork},
      {"vfork", SYS_vfork},
      {"clone", SYS_clone, {SIGCHLD}},
      {"clone, a name space", SYS_clone, {CLONE_NEWUSER | SIGCHLD}},
      {"execve", SYS_execve, {pointer("/bin/true"), pointer(arguments)}},
      {"execveat", SYS_execveat, {AT_FDCWD, pointer("/bin/true"), pointer(arguments)}},
      {"kill", SYS_kill, {::getpid(), 0}},
      {"tgkill of another", SYS_tgkill, {::getpid(), ::getpid(), 0}},
      {"tkill", SYS_tkill, {::getpid(), 0}},
      {"pidfd_open", SYS_pidfd_open, {::getpid()}},
      {"ptrace", SYS_ptrace, {PTRACE_ATTACH, ::getpid()}},
      {"process_vm_readv", SYS_process_vm_readv, {::getpid()}},
      {"unshare", SYS_unshare, {CLONE_NEWUSER}},
      {"setns", SYS_setns, {0}},
      {"setuid", SYS_setuid, {0}},
      {"personality", SYS_personality, {0xFFFFFFFF}},
      // Memory that can be run.
      {"mmap to run", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
      {"pkey_mprotect", SYS_pkey_mprotect, {0, 4096, PROT_READ}},
      {"shmget", SYS_shmget, {0, 4096, 0600}},
      // Ways around, and more than was given.
      {"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}},
      {"seccomp", SYS_seccomp, {SECCOMP_SET_MODE_STRICT}},
      {"setrlimit", SYS_setrlimit, {RLIMIT_CPU, pointer(&more)}},
      {"bpf", SYS_bpf, {0}},
      {"io_uring_setup", SYS_io_uring_setup, {1}},
      {"userfaultfd", SYS_userfaultfd, {0}},
      {"perf_event_open", SYS_perf_event_open, {0}},
      {"keyctl", SYS_keyctl, {0}},
      {"setpriority", SYS_setpriority, {PRIO_PROCESS, 0, 0}},
  };
  for (const Call& call : calls) {
    CAPTURE(call.name);
    CHECK(error_of(call) == EPERM);
  }
  // glibc then makes its threads with clone.
  CHECK(error_of({"clone3", SYS_clone3, {0, 64}}) == ENOSYS);
  if (!kSanitized) CHECK(error_of({"prlimit64", SYS_prlimit64, {0, RLIMIT_CPU, pointer(&more)}}) == EPERM);
  if (!kSanitized) CHECK(error_of({"pipe2", SYS_pipe2, {pointer(arguments)}}) == EPERM);
}

TEST_CASE("jail: memory that is there is not made to run, and threads are in jail too") {
  CHECK(in_jail([] {
          void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          if (memory == MAP_FAILED) return 1;
          return ::mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM ? 0 : 2;
        }) == 0);
  CHECK(in_jail([] {
          int got = 0;
          std::thread thread{[&got] { got = ::open("/etc/passwd", O_RDONLY) < 0 ? errno : 0; }};
          thread.join();
          return got;
        }) == EPERM);
}

TEST_CASE("jail: the filter holds threads that were there before") {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    std::array<int, 2> gate{};
    if (::pipe(gate.data()) != 0) ::_exit(98);
    int got = -1;
    std::thread thread{[&] {
      char go = 0;
      if (::read(gate[0], &go, 1) == 1) got = ::open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
    }};
    if (!enter_jail({.memory_bytes = kMemory, .cpu_s = 10})) ::_exit(kNoJail);
    if (::write(gate[1], "g", 1) != 1) ::_exit(97);
    thread.join();
    ::_exit(got);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == EPERM);
}

#ifdef __x86_64__
TEST_CASE("jail: calls of another architecture end the process") {
  // 20: getpid of i386. Where the kernel has none, the instruction itself is a fault.
  const int ended = in_jail([] {
    ::signal(SIGSEGV, SIG_DFL);  // not the test program's report
    long got = 20;
    asm volatile("int $0x80" : "+a"(got) : : "memory", "r8", "r9", "r10", "r11");
    return got > 0 ? 1 : 2;
  });
  CHECK((ended == 1000 + SIGSYS || ended == 1000 + SIGSEGV));
}
#endif

TEST_CASE("jail: no more memory than was given") {
  if (kSanitized) {
    MESSAGE("sanitizers need terabytes of address space: left out");
    return;
  }
  CHECK(in_jail([] {
          void* memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          return memory == MAP_FAILED ? errno : 0;
        }) == ENOMEM);
  CHECK(in_jail([] {
          // In small pieces, as a decoder would.
          constexpr std::size_t kPiece = 8 * 1024 * 1024;
          std::size_t pieces = 0;
          while (pieces <= kMemory / kPiece) {
            auto* piece = static_cast<volatile char*>(std::malloc(kPiece));
            if (!piece) break;
            *piece = 1;
            ++pieces;
          }
          return pieces > 64 && pieces < kMemory / kPiece ? 0 : 1;
        }) == 0);
  CHECK(in_jail([] {
          void* end = ::sbrk(0);
          return ::brk(static_cast<char*>(end) + kMemory) != 0 ? errno : 0;
        }) == ENOMEM);
}

TEST_CASE("jail: no more CPU time than was given, and the end says so; who does not listen is killed") {
  const auto spin = [] {
    volatile unsigned n = 0;
    while (n == 0) {
    }
    return 0;
  };
  CHECK(in_jail(spin, 1) == 1000 + SIGXCPU);
  CHECK(in_jail(
            [spin] {
              ::signal(SIGXCPU, SIG_IGN);
              return spin();
            },
            1) == 1000 + SIGKILL);
}

TEST_CASE("jail: no byte more in any file, also where one is open for writing") {
  std::string name = "/tmp/ribalta-jail-XXXXXX";
  const int file = ::mkstemp(name.data());
  REQUIRE(file >= 0);
  ::unlink(name.c_str());
  CHECK(in_jail([file] { return ::write(file, "x", 1) < 0 ? errno : 0; }) == 1000 + SIGXFSZ);
  CHECK(in_jail([file] {
          ::signal(SIGXFSZ, SIG_IGN);
          return ::write(file, "x", 1) < 0 ? errno : 0;
        }) == EFBIG);
  CHECK(::lseek(file, 0, SEEK_END) == 0);
  ::close(file);
}

TEST_CASE("jail: what media work needs goes on: what is open, memory, threads, its own end") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  CHECK(in_jail([&ends] { return ::write(ends[1], "ok", 2) == 2 ? 0 : errno; }) == 0);
  CHECK(in_jail([&ends] {
          char got[2];
          return ::read(ends[0], got, 2) == 2 && got[0] == 'o' ? 0 : 1;
        }) == 0);
  ::close(ends[0]);
  ::close(ends[1]);
  CHECK(in_jail([] {
          std::vector<char> much(100 * 1024 * 1024, 'x');
          int value = 0;
          std::thread thread{[&] { value = much[much.size() / 2]; }};
          thread.join();
          return value == 'x' ? 0 : 1;
        }) == 0);
  CHECK(in_jail([] {
          ::signal(SIGABRT, SIG_DFL);
          std::abort();
          return 0;
        }) == 1000 + SIGABRT);
}
