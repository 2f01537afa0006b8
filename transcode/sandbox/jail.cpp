#include "transcode/sandbox/jail.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>

namespace ribalta::transcode {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RIBALTA_SANITIZED 1
#endif
#endif
#ifdef RIBALTA_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

/// What sanitizers do to learn whether memory can be read. Their shadow memory is also terabytes of address space.
constexpr std::initializer_list<int> kAllowedSanitized = {SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(prlimit64)};

struct Released {
  void operator()(void* filter) const noexcept { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Released>;

Result<void> limit(int resource, rlim_t value, rlim_t hard) {
  const struct rlimit both{value, hard};
  if (::setrlimit(static_cast<__rlimit_resource>(resource), &both) != 0) return fail_errno("set a resource limit");
  return {};
}
Result<void> limit(int resource, rlim_t value) { return limit(resource, value, value); }

/// At the limit comes SIGXCPU, which says what happened; so many seconds after it SIGKILL, for who does not listen.
constexpr rlim_t kCpuGraceSeconds = 5;

/// Calls that media work makes. Everything else fails with EPERM, as if the system did not allow it: codecs ask for odd
/// things at times and go on without.
constexpr std::initializer_list<int> kAllowed = {SCMP_SYS(read),
                                                 SCMP_SYS(readv),
                                                 SCMP_SYS(pread64),
                                                 SCMP_SYS(write),
                                                 SCMP_SYS(writev),
                                                 SCMP_SYS(lseek),
                                                 SCMP_SYS(close),
                                                 SCMP_SYS(fstat),
                                                 SCMP_SYS(poll),
                                                 SCMP_SYS(ppoll),
                                                 SCMP_SYS(munmap),
                                                 SCMP_SYS(mremap),
                                                 SCMP_SYS(madvise),
                                                 SCMP_SYS(brk),
                                                 SCMP_SYS(futex),
                                                 SCMP_SYS(set_robust_list),
                                                 SCMP_SYS(get_robust_list),
                                                 SCMP_SYS(rseq),
                                                 SCMP_SYS(set_tid_address),
                                                 SCMP_SYS(sched_yield),
                                                 SCMP_SYS(sched_getaffinity),
                                                 SCMP_SYS(getcpu),
                                                 SCMP_SYS(sysinfo),
                                                 SCMP_SYS(clock_gettime),
                                                 SCMP_SYS(clock_getres),
                                                 SCMP_SYS(clock_nanosleep),
                                                 SCMP_SYS(nanosleep),
                                                 SCMP_SYS(gettimeofday),
                                                 SCMP_SYS(getpid),
                                                 SCMP_SYS(gettid),
                                                 SCMP_SYS(getrandom),
                                                 SCMP_SYS(getrusage),
                                                 SCMP_SYS(rt_sigaction),
                                                 SCMP_SYS(rt_sigprocmask),
                                                 SCMP_SYS(rt_sigreturn),
                                                 SCMP_SYS(sigaltstack),
                                                 SCMP_SYS(restart_syscall),
                                                 SCMP_SYS(exit),
                                                 SCMP_SYS(exit_group)};

Result<void> filter_calls() {
  const Filter filter{seccomp_init(SCMP_ACT_ERRNO(EPERM))};
  if (!filter) return fail(Code::unsupported, "seccomp: no filter");
  // Calls of another architecture (int 0x80) end the process; alone, their thread would be missed by the others.
  int done = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  done |= seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  const auto allow = [&](int call) { done |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0); };
  for (const int call : kAllowed) allow(call);
  if (kSanitized) {
    for (const int call : kAllowedSanitized) allow(call);
  }
  const auto allow_if = [&](int call, const scmp_arg_cmp& condition) {
    done |= seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 1, &condition);
  };
  // Threads, not processes. clone3 hides its flags in memory: glibc goes back to clone when it is not there.
  allow_if(SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD});
  done |= seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  allow_if(SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_NAME, 0});
  // abort() signals itself; the daemons beside us run as the same user.
  allow_if(SCMP_SYS(tgkill), {0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()), 0});
  // Memory that can be run is never made.
  allow_if(SCMP_SYS(mmap), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0});
  allow_if(SCMP_SYS(mprotect), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0});
  if (done != 0) return fail(Code::unsupported, "seccomp: a rule was refused");
  if (seccomp_load(filter.get()) != 0) return fail(Code::unsupported, "seccomp: the kernel refused the filter");
  return {};
}

}  // namespace

Result<void> enter_jail(const JailLimits& limits) {
  ::mallopt(M_ARENA_MAX, 4);  // each arena reserves 64 MiB of address space
  Result<void> done = limit(RLIMIT_CORE, 0);
  if (done) done = limit(RLIMIT_FSIZE, 0);
  if (done && limits.cpu_s > 0) done = limit(RLIMIT_CPU, limits.cpu_s, limits.cpu_s + kCpuGraceSeconds);
  if (done && !kSanitized) done = limit(RLIMIT_AS, limits.memory_bytes);
  if (done && !kSanitized) done = limit(RLIMIT_NOFILE, 0);  // what is open stays open
  if (!done) return done;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("no new privileges");
  return filter_calls();
}

}  // namespace ribalta::transcode
