#include "transcode/testing/fakes.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <utility>

#include "core/json.h"
#include "core/testing/passing_store.h"
#include "transcode/testing/media_files.h"

namespace ribalta::transcode::testing {
namespace {

/// Nothing here takes so long; a test that hangs says where.
constexpr std::chrono::seconds kPatience{60};

struct WantedKinds {
  std::string worker;
  std::vector<std::string> kinds;
  std::vector<std::string> encoders;
};
BOOST_DESCRIBE_STRUCT(WantedKinds, (), (worker, kinds, encoders))

std::filesystem::path fresh_folder() {
  static int count = 0;
  const std::filesystem::path folder = scratch() / ("farm" + std::to_string(++count));
  std::filesystem::create_directories(folder / "run");
  return folder;
}

}  // namespace

class Farm::Touchy : public ribalta::testing::PassingStore {
 public:
  Touchy(std::unique_ptr<ObjectStore> store, std::atomic<bool>& throws)
      : PassingStore(std::move(store)), throws_(throws) {}
  Result<void> remove_all(std::string_view prefix) override {
    if (throws_.exchange(false)) throw std::runtime_error("the store, says the test");
    return PassingStore::remove_all(prefix);
  }

 private:
  std::atomic<bool>& throws_;
};

Farm::Farm(const TranscodeConfig& config) {
  const std::filesystem::path folder = fresh_folder();
  node_.role = "transcode";
  node_.node_secret = "a secret of this test";
  node_.config.data = folder;
  node_.config.run = folder / "run";
  node_.loops = std::make_unique<LoopPool>(1);
  node_.store = std::make_unique<Touchy>(open_folder_store(folder / "store").value(), throw_on_remove_);

  control_.add("POST", "/internal/v1/jobs/lease",
               [this](http::Exchange& exchange, const http::Router::Parameters&) { return lease(exchange); });
  control_.add("POST", "/internal/v1/jobs/{job}/{verb}",
               [this](http::Exchange& exchange, const http::Router::Parameters& parameters) {
                 return about_job(exchange, std::string{http::parameter(parameters, "job")},
                                  std::string{http::parameter(parameters, "verb")});
               });
  packager_.add("GET", "/tracks/{stream}/{track}/head",
                [this](http::Exchange& exchange, const http::Router::Parameters& parameters) -> Task<void> {
                  const std::string track{http::parameter(parameters, "track")};
                  http::Response answer = http::Response::text(404, "no such track");
                  {
                    const std::lock_guard lock{mutex_};
                    if (const auto found = heads_.find(track); found != heads_.end()) {
                      answer = http::Response::json(200, found->second);
                    }
                  }
                  co_await exchange.respond(std::move(answer));
                });
  packager_.add("GET", "/tracks/{stream}/{track}",
                [this](http::Exchange& exchange, const http::Router::Parameters& parameters) {
                  return get_track(exchange, std::string{http::parameter(parameters, "track")});
                });
  packager_.add("PUT", "/tracks/{stream}/{track}",
                [this](http::Exchange& exchange, const http::Router::Parameters& parameters) {
                  return put_track(exchange, std::string{http::parameter(parameters, "track")});
                });
  const auto at = [&](const char* name) { return http::Address{.unix_path = (folder / "run" / name).string()}; };
  control_server_ = http::Server::listen(*node_.loops, at("control.sock"), control_.handler()).value();
  packager_server_ = http::Server::listen(*node_.loops, at("packager.sock"), packager_.handler()).value();
  worker_ = std::make_unique<Worker>(node_, config);
}

Farm::~Farm() {
  if (!started_) node_.loops->start();
  spawn(node_.loops->loop(0), "drain", worker_->drain(std::chrono::milliseconds{5'000}));
  control_server_->drain();
  packager_server_->drain();
  node_.loops->stop(std::chrono::milliseconds{6'000});
  control_server_.reset();
  packager_server_.reset();
}

void Farm::queue(const std::string& kind, const std::string& job) {
  {
    const std::lock_guard lock{mutex_};
    jobs_[kind].push_back(job);
  }
  if (std::exchange(started_, true)) return;
  REQUIRE(worker_->start().has_value());
  node_.loops->start();
}

void Farm::answer(const std::string& verb, unsigned status) {
  const std::lock_guard lock{mutex_};
  answers_[verb] = status;
}

void Farm::serve_track(const std::string& track, Bytes bytes) {
  const std::lock_guard lock{mutex_};
  heads_.try_emplace(track, R"({"epoch":1,"decode_time":0,"decode_time_durable":0,"timescale":90000})");
  tracks_[track] = std::move(bytes);
}

void Farm::serve_head(const std::string& track, const std::string& json) {
  const std::lock_guard lock{mutex_};
  heads_[track] = json;
}

void Farm::refuse_puts(const std::string& track, unsigned status, int times) {
  const std::lock_guard lock{mutex_};
  refusals_[track] = {status, times};
}

JobCall Farm::await_call(const std::string& verb) {
  std::unique_lock lock{mutex_};
  JobCall found;
  const bool came = changed_.wait_for(lock, kPatience, [&] {
    for (const JobCall& call : calls_) {
      if (call.verb != verb) continue;
      found = call;
      return true;
    }
    return false;
  });
  INFO("waiting for ", verb);
  REQUIRE(came);
  return found;
}

void Farm::await_over(const std::string& kind) {
  queue(kind, R"({"job":"0000000000000000","kind":")" + kind + R"(","epoch":1,"attempt":1})");
  CHECK(await_call("fail").job == "0000000000000000");
}

std::vector<PutBody> Farm::puts() {
  const std::lock_guard lock{mutex_};
  return puts_;
}

std::vector<Bytes> Farm::bodies_of(const std::string& track) {
  std::vector<Bytes> bodies;
  for (const PutBody& put : puts()) {
    if (put.track == track) bodies.push_back(put.bytes);
  }
  return bodies;
}

Task<void> Farm::lease(http::Exchange& exchange) {
  const Result<std::string> body = co_await exchange.read_all();
  const Result<WantedKinds> wanted = json_read<WantedKinds>(body.value_or("{}"));
  http::Response answer{.status = 204, .fields = {}, .body = {}};
  if (wanted) {
    const std::lock_guard lock{mutex_};
    for (const std::string& kind : wanted->kinds) {
      if (jobs_[kind].empty()) continue;
      answer = http::Response::json(200, jobs_[kind].front());
      jobs_[kind].pop_front();
      break;
    }
    changed_.notify_all();
  }
  co_await exchange.respond(std::move(answer));
}

Task<void> Farm::about_job(http::Exchange& exchange, std::string job, std::string verb) {
  const Result<std::string> body = co_await exchange.read_all();
  unsigned status = 200;
  {
    const std::lock_guard lock{mutex_};
    calls_.push_back({std::move(job), verb, body.value_or("")});
    if (const auto found = answers_.find(verb); found != answers_.end()) status = found->second;
  }
  changed_.notify_all();
  http::Response answer = status == 200 ? http::Response::json(200, R"({"action":"go"})")
                                        : http::Response::error(status, "told", "as the test says");
  co_await exchange.respond(std::move(answer));
}

Task<void> Farm::get_track(http::Exchange& exchange, std::string track) {
  Bytes bytes;
  bool known = false;
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = tracks_.find(track); found != tracks_.end()) {
      bytes = found->second;
      known = true;
    }
  }
  if (!known) {
    http::Response answer = http::Response::text(404, "no such track");
    co_await exchange.respond(std::move(answer));
    co_return;
  }
  http::ResponseHead head;
  if (!co_await exchange.start(std::move(head))) co_return;
  constexpr std::size_t kPiece = 10'000;
  for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
    const ByteSpan piece = ByteSpan{bytes}.subspan(at, std::min(kPiece, bytes.size() - at));
    if (!co_await exchange.write(piece)) co_return;
  }
  co_await exchange.finish();
}

Task<void> Farm::put_track(http::Exchange& exchange, std::string track) {
  PutBody put{
      .track = track, .epoch = std::string{exchange.head().fields.get("Ribalta-Epoch")}, .bytes = {}, .whole = false};
  unsigned refused = 0;
  {
    const std::lock_guard lock{mutex_};
    auto& [status, times] = refusals_[track];
    if (times > 0) {
      --times;
      refused = status;
    }
  }
  while (refused == 0) {
    const Result<ByteSpan> piece = co_await exchange.read_some();
    if (!piece) break;
    if (piece->empty()) {
      put.whole = true;
      break;
    }
    put.bytes.insert(put.bytes.end(), piece->begin(), piece->end());
  }
  {
    const std::lock_guard lock{mutex_};
    puts_.push_back(put);
  }
  changed_.notify_all();
  http::Response answer = http::Response::text(refused != 0 ? refused : 200, refused != 0 ? "no" : "ok");
  co_await exchange.respond(std::move(answer));
}

}  // namespace ribalta::transcode::testing
