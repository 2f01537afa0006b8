#include "ingest/testing/fakes.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/log.h"

namespace ribalta::ingest::testing {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ribalta-ingest-XXXXXX").string();
  const char* made = mkdtemp(pattern.data());
  assert(made != nullptr);
  path_ = made;
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

FakePackager::FakePackager(LoopPool& loops, const std::filesystem::path& socket) {
  http::Router router;
  router.add("PUT", "/tracks/{stream}/{track}",
             [this](http::Exchange& exchange, const http::Router::Parameters& parameters) {
               return put(exchange, std::string{http::parameter(parameters, "stream")} + "/" +
                                        std::string{http::parameter(parameters, "track")});
             });
  router.add("GET", "/tracks/{stream}/{track}/head",
             [this](http::Exchange& exchange, const http::Router::Parameters& parameters) {
               return head(exchange, std::string{http::parameter(parameters, "stream")} + "/" +
                                         std::string{http::parameter(parameters, "track")});
             });
  auto server = http::Server::listen(loops, http::Address{.unix_path = socket.string()}, router.handler());
  assert(server.has_value());
  server_ = std::move(*server);
}

Task<void> FakePackager::put(http::Exchange& exchange, std::string key) {
  const std::int64_t epoch = std::atoll(std::string{exchange.head().fields.get("Ribalta-Epoch")}.c_str());
  int generation = 0;
  unsigned refused = 0;
  {
    const std::scoped_lock lock{mutex_};
    FakeTrack& track = tracks_[key];
    ++track.puts;
    generation = generation_;
    refused = refused_ != 0 ? refused_ : epoch < track.epoch ? 409 : 0;
    if (refused == 0) track.epoch = epoch;
    if (exchange.head().fields.get("Ribalta-Source") != "1") track.complaints.emplace_back("no Ribalta-Source");
    if (exchange.head().fields.get("Ribalta-Node").empty()) track.complaints.emplace_back("no signature");
    changed_.notify_all();
  }
  if (refused != 0) {
    http::Response response = http::Response::error(refused, "refused", "refused by the test");
    co_await exchange.respond(std::move(response));
    co_return;
  }
  media::CmafReader reader;
  std::size_t inits = 0;
  while (true) {
    const Result<ByteSpan> piece = co_await exchange.read_some();
    if (!piece) co_return;
    if (piece->empty()) break;
    reader.feed(*piece);
    const std::scoped_lock lock{mutex_};
    if (generation != generation_) co_return;  // "killed": the connection is cut
    FakeTrack& track = tracks_[key];
    ++track.reads;
    while (true) {
      auto item = reader.next();
      if (!item) {
        track.complaints.push_back(item.error().message);
        co_return;
      }
      if (!*item) break;
      if (const auto* init = std::get_if<media::InitItem>(&**item)) {
        track.inits.push_back(init->config);
        track.timescale = init->config.timescale;
        ++inits;
        continue;
      }
      const media::Chunk& chunk = std::get<media::ChunkItem>(**item).chunk;
      if (inits == 0) track.complaints.emplace_back("a PUT did not begin with an init segment");
      if (!track.chunks.empty() && chunk.decode_time < track.chunks.back().decode_end) {
        track.complaints.push_back("decode time went back to " + std::to_string(chunk.decode_time));
      }
      track.chunks.push_back({chunk.decode_time, chunk.decode_end(), chunk.presentation_time, chunk.first_is_sync,
                              chunk.samples.size(), epoch, track.inits.size()});
    }
    changed_.notify_all();
  }
  http::Response response = http::Response::text(200, "");
  co_await exchange.respond(std::move(response));
}

Task<void> FakePackager::head(http::Exchange& exchange, std::string key) {
  http::Response response = http::Response::error(404, "not_found", "no such track");
  {
    const std::scoped_lock lock{mutex_};
    const auto found = tracks_.find(key);
    if (found != tracks_.end() && !found->second.chunks.empty()) {
      const FakeTrack& track = found->second;
      std::int64_t durable = 0;
      for (const FakeTrack::Chunk& chunk : track.chunks) {
        if (chunk.key) durable = chunk.decode_time;
      }
      response = http::Response::json(200, "{\"epoch\":" + std::to_string(track.epoch) +
                                               ",\"decode_time\":" + std::to_string(track.chunks.back().decode_end) +
                                               ",\"decode_time_durable\":" + std::to_string(durable) +
                                               ",\"timescale\":" + std::to_string(track.timescale) + "}");
    }
  }
  co_await exchange.respond(std::move(response));
}

std::map<std::string, FakeTrack> FakePackager::tracks() {
  const std::scoped_lock lock{mutex_};
  return tracks_;
}

bool FakePackager::wait_for(const std::function<bool(const std::map<std::string, FakeTrack>&)>& condition,
                            std::chrono::milliseconds limit) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, limit, [&] { return condition(tracks_); });
}

void FakePackager::restart() {
  const std::scoped_lock lock{mutex_};
  ++generation_;
  for (auto& [key, track] : tracks_) {
    while (!track.chunks.empty() && !track.chunks.back().key) track.chunks.pop_back();
    if (!track.chunks.empty()) track.chunks.pop_back();
  }
}

void FakePackager::refuse(unsigned status) {
  const std::scoped_lock lock{mutex_};
  refused_ = status;
}

FakeControl::FakeControl(LoopPool& loops, const std::filesystem::path& socket, Answer answer)
    : answer_(std::move(answer)) {
  const http::Handler handler = [this](http::Exchange& exchange) -> Task<void> {
    const Result<std::string> body = co_await exchange.read_all();
    if (!body) co_return;
    FakeCall call{exchange.head().path, *body};
    Answer answer_now;
    {
      const std::scoped_lock lock{mutex_};
      answer_now = answer_;
    }
    http::Response response = answer_now(call);
    {
      const std::scoped_lock lock{mutex_};
      calls_.push_back(std::move(call));
      changed_.notify_all();
    }
    co_await exchange.respond(std::move(response));
  };
  auto server = http::Server::listen(loops, http::Address{.unix_path = socket.string()}, handler);
  assert(server.has_value());
  server_ = std::move(*server);
}

std::vector<FakeCall> FakeControl::calls(std::string_view path_part) {
  const std::scoped_lock lock{mutex_};
  std::vector<FakeCall> found;
  for (const FakeCall& call : calls_) {
    if (call.path.find(path_part) != std::string::npos) found.push_back(call);
  }
  return found;
}

bool FakeControl::wait_for(std::string_view path_part,
                           const std::function<bool(const std::vector<FakeCall>&)>& condition,
                           std::chrono::milliseconds limit) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, limit, [&] {
    std::vector<FakeCall> found;
    for (const FakeCall& call : calls_) {
      if (call.path.find(path_part) != std::string::npos) found.push_back(call);
    }
    return condition(found);
  });
}

void FakeControl::answer_with(Answer answer) {
  const std::scoped_lock lock{mutex_};
  answer_ = std::move(answer);
}

Process::Process(std::vector<std::string> arguments, std::filesystem::path log, bool tells) : log_(std::move(log)) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::string tell = "RIBALTA_READY_FD=3";
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  if (tells) environment.push_back(tell.data());
  environment.push_back(nullptr);
  int ends[2] = {-1, -1};
  [[maybe_unused]] const int made = tells ? pipe2(ends, O_CLOEXEC) : 0;
  assert(made == 0);
  pid_ = fork();
  assert(pid_ >= 0);
  if (pid_ == 0) {
    const int out = open(log_.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    const int in = open("/dev/null", O_RDONLY);
    dup2(in, 0);
    dup2(out, 1);
    dup2(out, 2);
    if (tells && ends[1] == 3) fcntl(3, F_SETFD, 0);
    if (tells && ends[1] != 3) dup2(ends[1], 3);
    execvpe(pointers[0], pointers.data(), environment.data());
    _exit(127);
  }
  if (tells) close(ends[1]);
  ready_ = ends[0];
}
Process::~Process() {
  if (ready_ >= 0) close(ready_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  wait();
}
bool Process::wait_ready() {
  char byte = 0;
  return read(ready_, &byte, 1) == 1;
}
int Process::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
void Process::signal(int number) const { kill(pid_, number); }
std::string Process::log() const {
  std::ifstream in{log_};
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " > /dev/null 2>&1").c_str()) == 0;
}

}  // namespace ribalta::ingest::testing
