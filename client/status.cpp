#include <boost/describe/class.hpp>
#include <cstdio>

#include "client/commands.h"

namespace ribalta::client {
namespace {

struct Daemon {
  std::string name;
  bool healthy = false;
  std::string message;
};
BOOST_DESCRIBE_STRUCT(Daemon, (), (name, healthy, message))
struct Counts {
  std::int64_t queued = 0;
  std::int64_t leased = 0;
  std::int64_t done = 0;
  std::int64_t failed = 0;
};
BOOST_DESCRIBE_STRUCT(Counts, (), (queued, leased, done, failed))
struct Jobs {
  Counts live;
  Counts vod;
};
BOOST_DESCRIBE_STRUCT(Jobs, (), (live, vod))
struct Author {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(Author, (), (name))
struct Live {
  std::string stream;
  std::string state;
  std::string started;
  std::string title;
  Author author;
};
BOOST_DESCRIBE_STRUCT(Live, (), (stream, state, started, title, author))
struct Videos {
  std::int64_t draft = 0;
  std::int64_t processing = 0;
  std::int64_t ready = 0;
  std::int64_t failed = 0;
};
BOOST_DESCRIBE_STRUCT(Videos, (), (draft, processing, ready, failed))
struct Status {
  std::string version;
  std::vector<Daemon> daemons;
  Jobs jobs;
  std::vector<Live> lives;
  std::int64_t users = 0;
  Videos videos;
};
BOOST_DESCRIBE_STRUCT(Status, (), (version, daemons, jobs, lives, users, videos))

void print_jobs(const char* kind, const Counts& jobs) {
  std::printf("  %-10s %lld running, %lld waiting, %lld done, %lld failed\n", kind, static_cast<long long>(jobs.leased),
              static_cast<long long>(jobs.queued), static_cast<long long>(jobs.done),
              static_cast<long long>(jobs.failed));
}

/// Titles are a stranger's: nothing of them moves the cursor.
std::string plain(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) c = ' ';
  }
  return text;
}

void print(const Instance& instance, const Status& status) {
  std::printf("Ribalta %s at %s/\n\nServices\n", status.version.c_str(), instance.site().c_str());
  for (const Daemon& daemon : status.daemons) {
    std::printf("  %-10s %s\n", daemon.name.c_str(), daemon.healthy ? "ok" : plain(daemon.message).c_str());
  }
  std::printf("\nOn air\n");
  if (status.lives.empty()) std::printf("  nothing\n");
  for (const Live& live : status.lives) {
    std::printf("  %-12s %-11s since %s  %s/l/%s  %s\n", live.author.name.c_str(), live.state.c_str(),
                live.started.c_str(), instance.site().c_str(), live.stream.c_str(), plain(live.title).c_str());
  }
  std::printf("\nJobs\n");
  print_jobs("live", status.jobs.live);
  print_jobs("videos", status.jobs.vod);
  std::printf("\nVideos\n  %lld ready, %lld processing, %lld being uploaded, %lld failed; %lld accounts\n",
              static_cast<long long>(status.videos.ready), static_cast<long long>(status.videos.processing),
              static_cast<long long>(status.videos.draft), static_cast<long long>(status.videos.failed),
              static_cast<long long>(status.users));
}

}  // namespace

int status(const std::filesystem::path& data, bool json) {
  const Result<Instance> instance = Instance::open(data);
  const Result<std::string> answer = instance ? instance->admin_call("GET", "/admin/status") : pass(instance);
  if (!answer) {
    std::fprintf(stderr, "%s\n", answer.error().message.c_str());
    return 1;
  }
  const Result<Status> status = json_read<Status>(*answer, JsonUnknown::ignore);
  if (!status) {
    std::fprintf(stderr, "The instance's answer makes no sense: %s\n", status.error().message.c_str());
    return 1;
  }
  if (json) {
    std::printf("%s\n", answer->c_str());
  } else {
    print(*instance, *status);
  }
  bool healthy = true;
  for (const Daemon& daemon : status->daemons) healthy = healthy && daemon.healthy;
  return healthy ? 0 : 1;
}

}  // namespace ribalta::client
