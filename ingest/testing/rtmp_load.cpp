// ribalta-rtmp-load: many publishers from one recording, in real time, over RTMP, to any server. For scripts/bench
// ingest.
//
// Every publisher has a key of its own, begins at its own time (spread over one key frame interval, so that key frames
// of all do not fall together), sends each tag in a write of its own when it is due, as encoders do, and begins the
// recording anew at its end, on one timeline. A line of JSON says when all publish; another, at the end, how it went.
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/write.hpp>
#include <boost/describe/class.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "core/async.h"
#include "core/bytes.h"
#include "core/json.h"
#include "ingest/rtmp/testing/publisher.h"

namespace ribalta::rtmp {
namespace {

using Clock = std::chrono::steady_clock;

/// What OBS and most encoders set.
constexpr std::uint32_t kChunkBytes = 4096;
/// A server that has not answered by then will not.
constexpr std::chrono::seconds kAnswerWithin{30};

struct Tag {
  MessageType type{};
  std::int64_t time_ms = 0;
  Bytes payload;
  bool header = false;  ///< metadata and codec headers: said once
};

struct Recording {
  std::vector<Tag> tags;
  std::int64_t duration_ms = 0;
};

/// FLV (Adobe's specification, annex E.2 to E.4): a header, then tags with their sizes behind them.
Result<Recording> read_flv(const std::string& name) {
  std::ifstream file{name, std::ios::binary};
  const std::vector<char> text{std::istreambuf_iterator<char>{file}, {}};
  ByteSpan bytes{reinterpret_cast<const std::byte*>(text.data()), text.size()};
  if (bytes.size() < 13 || text[0] != 'F' || text[1] != 'L' || text[2] != 'V')
    return fail(Code::malformed, "no FLV:", name);
  bytes = bytes.subspan(13);
  Recording recording;
  while (bytes.size() >= 11) {
    const std::uint32_t size = read_be32(bytes) & 0xFFFFFF;
    const std::uint32_t time = read_be32(bytes.subspan(4));
    if (bytes.size() < 11 + std::size_t{size} + 4) return fail(Code::malformed, "the FLV ends inside a tag");
    const ByteSpan payload = bytes.subspan(11, size);
    Tag tag{.type = static_cast<MessageType>(std::to_integer<unsigned>(bytes[0]) & 0x1F),
            .time_ms = (time >> 8) | ((time & 0xFF) << 24),
            .payload = {payload.begin(), payload.end()}};
    // AVC and AAC headers have packet type 0 behind the codec's byte (E.4.2.1, E.4.3.1).
    tag.header = tag.type == MessageType::data || (size > 1 && payload[1] == std::byte{0});
    if (tag.type == MessageType::data) {  // as publishers wrap it
      ByteWriter wrapped;
      amf0::write(amf0::Value::of("@setDataFrame"), wrapped);
      Bytes whole = wrapped.take();
      whole.insert(whole.end(), payload.begin(), payload.end());
      tag.payload = std::move(whole);
    }
    recording.tags.push_back(std::move(tag));
    bytes = bytes.subspan(11 + std::size_t{size} + 4);
  }
  std::int64_t frames = 0;
  std::int64_t last = 0;
  for (const Tag& tag : recording.tags) {
    if (tag.type == MessageType::video && !tag.header) {
      ++frames;
      last = std::max(last, tag.time_ms);
    }
  }
  if (frames < 2) return fail(Code::malformed, "no video in", name);
  recording.duration_ms = last + last / (frames - 1);
  return recording;
}

struct Report {
  std::int64_t publishers = 0;  ///< that publish until the end
  std::int64_t refused = 0;     ///< never began
  std::int64_t dropped = 0;     ///< the server ended them
  double seconds = 0;
  std::int64_t bytes = 0;  ///< of media
  std::int64_t late_ms_max =
      0;             ///< how far behind real time a write was done: the server (or this machine) is too slow
  double cpu_s = 0;  ///< ours
  std::vector<std::string> reasons;
};
BOOST_DESCRIBE_STRUCT(Report, (), (publishers, refused, dropped, seconds, bytes, late_ms_max, cpu_s, reasons))

struct Begun {
  std::int64_t publishing = 0;
  std::int64_t refused = 0;
};
BOOST_DESCRIBE_STRUCT(Begun, (), (publishing, refused))

struct Options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1935;
  std::string app = "live";
  std::string keys;
  std::string file;
  std::int64_t ramp_ms = 4'000;
};

class Load {
 public:
  Load(asio::io_context& loop, const Options& options, Recording recording, std::vector<std::string> keys)
      : loop_(loop), options_(options), recording_(std::move(recording)), keys_(std::move(keys)) {}

  void start() {
    started_ = Clock::now();
    for (std::size_t i = 0; i < keys_.size(); ++i) spawn(loop_.get_executor(), "publisher", publish(i));
  }
  /// All end as encoders do that are killed: connections are closed.
  Report stop() {
    stopping_ = true;
    report_.publishers = begun_.publishing - report_.dropped;
    report_.refused = begun_.refused;
    report_.seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    report_.cpu_s = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    return report_;
  }

 private:
  struct Peer {
    explicit Peer(asio::io_context& loop) : socket(loop) {}
    asio::ip::tcp::socket socket;
    testing::Publisher publisher;
    std::vector<Command> heard;
    std::string failure;
  };

  Task<void> publish(std::size_t index) {
    const auto peer = std::make_shared<Peer>(loop_);
    const auto spread = std::chrono::milliseconds{options_.ramp_ms * static_cast<std::int64_t>(index) /
                                                  static_cast<std::int64_t>(keys_.size())};
    co_await sleep_for(spread);
    const bool publishing = co_await begin(*peer, keys_[index]);
    ++(publishing ? begun_.publishing : begun_.refused);
    if (!publishing) note(peer->failure);
    if (begun_.publishing + begun_.refused == static_cast<std::int64_t>(keys_.size())) {
      std::printf("%s\n", json_write(begun_).c_str());
      std::fflush(stdout);
    }
    if (!publishing) co_return;
    spawn(loop_.get_executor(), "answers", listen(peer));
    const bool lasted = co_await send_media(*peer);
    if (lasted || stopping_) co_return;
    ++report_.dropped;
    note(peer->failure);
  }

  void note(const std::string& failure) {
    constexpr std::size_t kReasonsMax = 5;
    if (report_.reasons.size() < kReasonsMax) report_.reasons.push_back(failure);
  }

  Task<bool> write(Peer& peer, Bytes bytes) {
    const auto [error, sent] = co_await asio::async_write(peer.socket, asio::buffer(bytes), kTuple);
    if (error) peer.failure = "write: " + error.message();
    co_return !error;
  }

  /// Reads until a command of that name came. @return it, or none: the connection ended, or it was an error.
  Task<bool> hear(Peer& peer, std::string_view name) {
    std::array<std::byte, 8192> buffer{};
    while (true) {
      for (const Command& command : peer.heard) {
        if (command.name == "_error") co_return refused(peer, "_error");
        if (command.name != name) continue;
        peer.heard.clear();
        co_return true;
      }
      peer.heard.clear();
      const auto [error, got] = co_await peer.socket.async_read_some(asio::buffer(buffer), kTuple);
      if (error) co_return refused(peer, "waiting for " + std::string{name} + ": " + error.message());
      peer.heard = peer.publisher.hear(ByteSpan{buffer}.first(got));
    }
  }
  static bool refused(Peer& peer, std::string reason) {
    peer.failure = std::move(reason);
    return false;
  }

  /// Handshake to NetStream.Publish.Start.
  Task<bool> begin(Peer& peer, std::string key) {
    asio::steady_timer late{loop_, kAnswerWithin};
    late.async_wait([&peer](const boost::system::error_code& error) {
      boost::system::error_code ignored;
      if (!error) peer.socket.close(ignored);
    });
    const asio::ip::tcp::endpoint server{asio::ip::make_address(options_.host), options_.port};
    const auto [error] = co_await peer.socket.async_connect(server, kTuple);
    if (error) co_return refused(peer, "connect: " + error.message());
    peer.socket.set_option(asio::ip::tcp::no_delay{true});
    Bytes hello = testing::Publisher::handshake();
    bool good = co_await write(peer, std::move(hello));
    Bytes chunk_size = peer.publisher.set_chunk_size(kChunkBytes);
    Bytes connect = peer.publisher.connect(options_.app);
    chunk_size.insert(chunk_size.end(), connect.begin(), connect.end());
    if (good) good = co_await write(peer, std::move(chunk_size));
    if (good) good = co_await hear(peer, "_result");
    Bytes create = peer.publisher.call("createStream", {});
    if (good) good = co_await write(peer, std::move(create));
    if (good) good = co_await hear(peer, "_result");
    Bytes publish = peer.publisher.publish(key);
    if (good) good = co_await write(peer, std::move(publish));
    if (good) good = co_await hear(peer, "onStatus");
    co_return good;
  }

  /// Takes what the server goes on to say; its end closes the socket, which the next write sees.
  Task<void> listen(std::shared_ptr<Peer> peer) {
    std::array<std::byte, 4096> buffer{};
    while (true) {
      const auto [error, got] = co_await peer->socket.async_read_some(asio::buffer(buffer), kTuple);
      if (error) break;
    }
    boost::system::error_code ignored;
    peer->socket.close(ignored);
  }

  /// @return true: stopped by us.
  Task<bool> send_media(Peer& peer) {
    const auto begun = Clock::now();
    asio::steady_timer timer{loop_};
    for (std::int64_t turn = 0;; ++turn) {
      for (const Tag& tag : recording_.tags) {
        if (tag.header && turn > 0) continue;
        const std::int64_t time = tag.time_ms + turn * recording_.duration_ms;
        const auto due = begun + std::chrono::milliseconds{time};
        if (due > Clock::now()) {
          timer.expires_at(due);
          static_cast<void>(co_await timer.async_wait(kTuple));
        }
        if (stopping_) co_return true;
        Bytes payload = tag.payload;
        Bytes message = peer.publisher.media(tag.type, time, std::move(payload));
        report_.bytes += static_cast<std::int64_t>(tag.payload.size());
        const bool sent = co_await write(peer, std::move(message));
        if (!sent) co_return false;
        const auto late = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - due);
        report_.late_ms_max = std::max<std::int64_t>(report_.late_ms_max, late.count());
      }
    }
  }

  asio::io_context& loop_;
  const Options& options_;
  Recording recording_;
  std::vector<std::string> keys_;
  Clock::time_point started_;
  Begun begun_;
  Report report_;
  bool stopping_ = false;
};

std::vector<std::string> read_lines(const std::string& name) {
  std::ifstream file{name};
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace
}  // namespace ribalta::rtmp

int main(int argc, char** argv) {
  using namespace ribalta;
  rtmp::Options options;
  CLI::App app{"Publishes one FLV many times over RTMP, in real time, until SIGINT or SIGTERM."};
  app.add_option("--host", options.host, "the server's address")->capture_default_str();
  app.add_option("--port", options.port, "its port")->capture_default_str();
  app.add_option("--app", options.app, "RTMP app")->capture_default_str();
  app.add_option("--keys", options.keys, "file of stream keys, one a line: as many publishers")->required();
  app.add_option("--file", options.file, "FLV of H.264 and AAC")->required();
  app.add_option("--ramp-ms", options.ramp_ms, "over which publishers begin")
      ->capture_default_str()
      ->check(CLI::Range(0, 600'000));
  CLI11_PARSE(app, argc, argv);
  Result<rtmp::Recording> recording = rtmp::read_flv(options.file);
  std::vector<std::string> keys = rtmp::read_lines(options.keys);
  if (!recording || keys.empty()) {
    std::fprintf(stderr, "%s\n", recording ? "no keys" : recording.error().message.c_str());
    return 1;
  }
  ::signal(SIGPIPE, SIG_IGN);
  boost::asio::io_context loop{1};
  rtmp::Load load{loop, options, std::move(*recording), std::move(keys)};
  boost::asio::signal_set signals{loop, SIGINT, SIGTERM};
  signals.async_wait([&](const boost::system::error_code&, int) {
    std::printf("%s\n", json_write(load.stop()).c_str());
    loop.stop();
  });
  load.start();
  loop.run();
  return 0;
}
