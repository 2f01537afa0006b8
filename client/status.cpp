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
struct Node {
  std::string name;
  std::string state;
  bool healthy = true;
  std::string message;
};
BOOST_DESCRIBE_STRUCT(Node, (), (name, state, healthy, message))
struct Status {
  std::string version;
  std::vector<Daemon> daemons;
  Jobs jobs;
  std::vector<Live> lives;
  std::int64_t users = 0;
  Videos videos;
  std::vector<Node> nodes;
};
BOOST_DESCRIBE_STRUCT(Status, (), (version, daemons, jobs, lives, users, videos, nodes))

/// What an edge says of itself.
struct EdgeStatus {
  std::string role = "edge";
  std::string name;
  std::string first;
  std::vector<Daemon> daemons;
};
BOOST_DESCRIBE_STRUCT(EdgeStatus, (), (role, name, first, daemons))

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
  if (!status.nodes.empty()) std::printf("\nOther nodes\n");
  for (const Node& node : status.nodes) {
    std::printf("  %-12s %s\n", node.name.c_str(), plain(node.message).c_str());
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

Daemon ask_daemon(const std::filesystem::path& data, const std::string& name) {
  HttpRequest request;
  request.url = "http://localhost/healthz";
  request.socket = (data / "run" / (name + ".sock")).string();
  const Result<http::Response> answer = perform(request);
  Daemon daemon{.name = name,
                .healthy = answer && answer->status == 200,
                .message = answer ? answer->body : "does not answer: " + answer.error().message};
  while (daemon.message.ends_with('\n')) daemon.message.pop_back();
  return daemon;
}

int edge_status(const Instance& instance, bool json) {
  EdgeStatus status{.name = instance.node_name(), .first = instance.node_address(), .daemons = {}};
  bool healthy = true;
  for (const char* name : {"edge", "follower"}) {
    status.daemons.push_back(ask_daemon(instance.data(), name));
    healthy = healthy && status.daemons.back().healthy;
  }
  if (json) {
    std::printf("%s\n", json_write(status).c_str());
  } else {
    std::printf("Edge %s at %s/, of the node at %s\n\nServices\n", status.name.c_str(), instance.site().c_str(),
                status.first.c_str());
    for (const Daemon& daemon : status.daemons) {
      std::printf("  %-10s %s\n", daemon.name.c_str(), plain(daemon.message).c_str());
    }
  }
  return healthy ? 0 : 1;
}

}  // namespace

int status(const std::filesystem::path& data, bool json) {
  const Result<Instance> instance = Instance::open(data);
  if (instance && instance->is_edge()) return edge_status(*instance, json);
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
  for (const Node& node : status->nodes) healthy = healthy && node.healthy;
  return healthy ? 0 : 1;
}

}  // namespace ribalta::client
