#include "ingest/door/connection.h"

#include <sys/random.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "core/log.h"
#include "core/network.h"

namespace ribalta::ingest {
namespace {

/// A read's worth: large enough that 6 Mbit/s are some hundred reads a second. Nobody has it who says nothing, but a
/// publisher of a crowd that has just fallen silent.
constexpr std::size_t kReadBytes = 16 * 1024;
/// How long a publisher waits for a predecessor with its key to be gone: half open, or its end not read yet.
constexpr std::chrono::milliseconds kYieldWait{700};
/// How long, then, for the control plane to hear of that end. Beyond, it is down, and the memory of keys answers.
constexpr std::chrono::milliseconds kEndToldWait{2'000};
constexpr std::chrono::milliseconds kWatchEvery{500};
constexpr std::string_view kUnread{"the client does not read what it is told"};

rtmp::HandshakeBlock random_block() {
  rtmp::HandshakeBlock block{};
  for (std::size_t at = 0; at < block.size(); at += 256) {  // 256 bytes at once are never interrupted
    const ssize_t got = getrandom(block.data() + at, 256, 0);
    assert(got == 256);
  }
  return block;
}

}  // namespace

Connection::Connection(DoorContext context, Pace& pace, asio::any_io_executor loop, std::unique_ptr<Wire> wire,
                       std::string address)
    : context_(context),
      pace_(pace),
      loop_(std::move(loop)),
      wire_(std::move(wire)),
      address_(std::move(address)),
      deadlines_(std::chrono::steady_clock::now()),
      session_(random_block()),
      publisher_gone_(loop_) {}

std::chrono::milliseconds Connection::silent() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - deadlines_.heard());
}

void Connection::end(std::string sentence) {
  if (done_ || sentence_) return;
  sentence_ = std::move(sentence);
  wire_->interrupt();
}

Task<void> Connection::run(std::shared_ptr<Connection> self) {
  spawn(self->loop_, "deadlines", watch(self));
  Result<void> result;
  try {
    result = co_await self->wire_->greet();
    if (result) result = co_await self->converse();
  } catch (const std::exception& exception) {  // this connection's end, which the rest still has to be told of
    log_error("a connection ended by an exception", {{"address", self->address_}, {"what", exception.what()}});
    result = fail(Code::internal, "something went wrong on our side");
  }
  // What was interrupted only says that it was.
  const auto interrupted = [&result] { return !result && result.error().code == Code::closed; };
  if (interrupted() && self->expired_) result = std::unexpected<Error>{*self->expired_};
  if (interrupted() && self->sentence_) result = fail(Code::closed, *self->sentence_);
  if (self->sentence_ && self->session_.publishing()) {
    self->session_.end_publish("NetStream.Publish.Denied", *self->sentence_);
  }
  // What explains the end is sent, unless the peer is the one that is gone; the watch bounds this too.
  self->expired_.reset();
  (void)co_await self->flush();
  const std::string stream = self->publisher_ ? self->publisher_->grant().stream.text() : std::string{};
  self->stop_publisher();
  self->done_ = true;
  self->wire_->close();
  if (!result) self->tell_end(result.error(), stream);
}

/// The end of a stream always has its line. Strangers have one for each reason and a while.
void Connection::tell_end(const Error& reason, std::string_view stream) {
  context_.refused.add();
  if (!stream.empty()) {
    log_info("connection ended", {{"stream", stream}, {"address", address_}, {"reason", reason}});
  } else if (context_.refusals.note(network_of(address_), reason.message)) {
    log_info("connection ended", {{"address", address_}, {"reason", reason}});
  }
}

/// Looks at the deadlines until the connection is over. One that passes interrupts whatever the connection waits for.
/// Nothing stays connected without it: its own end by an exception ends the connection too.
Task<void> Connection::watch(std::shared_ptr<Connection> self) {
  try {
    co_await watch_deadlines(*self);
  } catch (const std::exception& exception) {
    log_error("a connection's deadlines are not watched", {{"address", self->address_}, {"what", exception.what()}});
    self->expired_ = Error{Code::internal, "something went wrong on our side"};
    self->wire_->interrupt();
  }
}

Task<void> Connection::watch_deadlines(Connection& self) {
  while (!self.done_) {
    const auto now = std::chrono::steady_clock::now();
    const Result<void> checked = self.deadlines_.check(now);
    if (!checked) {
      self.expired_ = checked.error();
      self.wire_->interrupt();
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(self.deadlines_.next() - now);
    co_await sleep_for(std::clamp(left, std::chrono::milliseconds{10}, kWatchEvery));
  }
}

Task<Result<void>> Connection::flush() {
  const Bytes output = session_.take_output();
  if (output.empty()) co_return Result<void>{};
  Result<void> written = co_await wire_->write(output);
  if (!written && expired_) co_return expired_->in(kUnread);
  if (!written && written.error().code == Code::timeout) co_return written.error().in(kUnread);
  co_return written;
}

/// The peer has closed. Before it has published that is worth a word, unless it only looked whether the port is open.
Result<void> Connection::left() const {
  if (publisher_) log_info("publisher left", {{"stream", publisher_->grant().stream.view()}});
  if (published_ || !heard_) return {};
  return fail(Code::closed, session_.handshake_done() ? "the client left before it published"
                                                      : "the client left in the middle of the handshake");
}

Task<Result<void>> Connection::converse() {
  bool paused = false;
  while (true) {
    // Said while something else was awaited.
    if (sentence_) co_return fail(Code::closed, *sentence_);
    if (expired_) co_return std::unexpected<Error>{*expired_};
    if (!paused) {  // after a pause something is there nearly always
      const Result<void> readable = co_await wire_->readable();
      if (!readable) co_return readable;
    }
    bool took_all = false;
    {
      const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadBytes);
      const Result<std::size_t> count = co_await wire_->read_some({buffer.get(), kReadBytes});
      if (sentence_) co_return fail(Code::closed, *sentence_);
      if (expired_) co_return std::unexpected<Error>{*expired_};
      if (!count) co_return pass(count);
      if (*count == 0) co_return left();
      took_all = wire_->took_all(*count, kReadBytes);
      heard_ = true;
      deadlines_.on_bytes(std::chrono::steady_clock::now());
      const ByteSpan bytes{buffer.get(), *count};
      Result<void> heard = co_await hear(bytes);
      if (!heard) co_return heard;
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    const SteadyTime next = publisher_ && took_all ? pace_.next(now) : now;
    paused = next > now;
    if (paused) co_await sleep_until(next);
  }
}

/// What one read brought.
Task<Result<void>> Connection::hear(ByteSpan bytes) {
  while (true) {
    Result<std::optional<rtmp::Event>> event = session_.next(bytes);
    if (session_.handshake_done()) deadlines_.on_handshake();
    const Result<void> flushed = co_await flush();
    if (!event) co_return pass(event);
    if (!flushed) co_return flushed;
    if (!*event) co_return Result<void>{};
    Result<void> handled = co_await handle(std::move(**event));
    if (!handled) co_return handled;
  }
}

Task<Result<void>> Connection::handle(rtmp::Event event) {
  if (auto* request = std::get_if<rtmp::PublishRequest>(&event)) co_return co_await on_publish(std::move(*request));
  if (const auto* media = std::get_if<rtmp::MediaMessage>(&event)) {
    const Result<void> taken = publisher_->on_media(*media);
    if (taken) co_return taken;
    session_.end_publish("NetStream.Publish.Denied", taken.error().message);
    co_return taken;
  }
  if (const auto* announced = std::get_if<rtmp::Announced>(&event)) {
    publisher_->on_announced(*announced);
    co_return Result<void>{};
  }
  log_info("publisher ended the stream", {{"stream", publisher_->grant().stream.view()}});
  stop_publisher();
  deadlines_.on_unpublish(std::chrono::steady_clock::now());
  co_return Result<void>{};
}

Task<void> Connection::yield(std::shared_ptr<Connection> self) {
  if (self->silent() >= kYieldAfter) self->end("The stream goes on from a new connection.");
  const std::uint64_t seen = self->publisher_gone_.version();
  if (self->publisher_) co_await self->publisher_gone_.wait(seen, kYieldWait);
}

/// The same encoder, here again: its earlier connection may still be open on our side, and the control plane may not
/// know yet that it is gone. Each is waited for on its own loop.
Task<void> Connection::wait_for_earlier() {
  const std::shared_ptr<Connection> earlier = context_.registry.find(key_hash_);
  if (earlier && earlier.get() != this) {
    Task<void> gone = yield(earlier);
    co_await asio::co_spawn(earlier->loop(), std::move(gone), asio::use_awaitable);
  }
  const std::shared_ptr<Publisher> leaving = context_.registry.find_leaving(key_hash_);
  if (!leaving) co_return;
  Task<bool> told = leaving->end_told(kEndToldWait);
  const bool heard = co_await asio::co_spawn(leaving->loop(), std::move(told), asio::use_awaitable);
  if (!heard)
    log_warning("the control plane has not heard yet that the key's last publish is over",
                {{"stream", leaving->grant().stream.view()}});
}

/// Keeps a publisher that is over findable until the control plane knows of its end.
Task<void> Connection::leave(Registry& registry, std::string key_hash, std::shared_ptr<Publisher> publisher) {
  while (!co_await publisher->end_told(std::chrono::hours{1})) {
  }
  registry.left(key_hash, publisher.get());
}

Task<Result<void>> Connection::on_publish(rtmp::PublishRequest request) {
  key_hash_ = context_.publishers.memory.hash(request.name.key);
  co_await wait_for_earlier();
  Result<PublishGrant> grant =
      co_await ask_publish(context_.publishers.rooms, context_.publishers.memory, request.name.key, address_);
  if (!grant) {
    // BadName and a close are what every encoder takes for "wrong key", and what makes OBS tell its user so.
    session_.refuse_publish("NetStream.Publish.BadName", grant.error().message);
    co_return grant.error().in("publish refused");
  }
  if (expired_) co_return std::unexpected<Error>{*expired_};
  const std::weak_ptr<Connection> weak = weak_from_this();
  auto publisher =
      std::make_shared<Publisher>(context_.publishers, loop_, *grant, key_hash_, [weak](std::string sentence) {
        if (const auto self = weak.lock()) self->end(std::move(sentence));
      });
  co_await publisher->start();
  publisher_ = std::move(publisher);
  pace_.joined();
  published_ = true;
  context_.registry.add(key_hash_, weak);
  context_.accepted.add();
  context_.publishing.add(1);
  deadlines_.on_publish();
  deadlines_.on_bytes(std::chrono::steady_clock::now());
  session_.accept_publish();
  log_info("publish accepted", {{"stream", grant->stream.view()},
                                {"epoch", grant->epoch.value},
                                {"resumed", grant->resumed},
                                {"from_memory", grant->from_memory},
                                {"address", address_},
                                {"client", request.client}});
  co_return co_await flush();
}

void Connection::stop_publisher() {
  if (!publisher_) return;
  publisher_->stop();
  context_.registry.leaving(key_hash_, publisher_);
  spawn(loop_, "publisher leaves", leave(context_.registry, key_hash_, std::move(publisher_)));
  publisher_.reset();
  publisher_gone_.notify_all();
  context_.publishing.add(-1);
  pace_.left();
  context_.registry.remove(key_hash_, this);
}

}  // namespace ribalta::ingest
