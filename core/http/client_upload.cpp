#include <array>
#include <charconv>

#include "core/http/client_message.h"

namespace ribalta::http {
namespace {

class ChunkedUpload final : public Upload {
 public:
  ChunkedUpload(std::unique_ptr<Stream> stream, ClientLimits limits) : stream_(std::move(stream)), limits_(limits) {}
  ~ChunkedUpload() override { watch_->upload = nullptr; }

  Task<Result<void>> send_head(std::string head) {
    const std::array<asio::const_buffer, 1> buffers{asio::buffer(head)};
    Result<void> written = co_await stream_->write(buffers, limits_.write_idle);
    if (written) watch_answer();
    co_return written;
  }

  Task<Result<void>> write(ByteSpan bytes) override {
    if (bytes.empty()) co_return Result<void>{};  // an empty chunk would be the end
    std::array<char, 18> size{};
    char* end = std::to_chars(size.data(), size.data() + 16, bytes.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    const std::array<asio::const_buffer, 3> buffers{
        asio::buffer(size.data(), static_cast<std::size_t>(end - size.data())),
        asio::buffer(bytes.data(), bytes.size()), asio::buffer("\r\n", 2)};
    co_return co_await send(buffers);
  }

  [[nodiscard]] const std::optional<Response>& early_answer() const override { return early_; }

  Task<Result<Response>> finish() override {
    const std::array<asio::const_buffer, 1> buffers{asio::buffer("0\r\n\r\n", 5)};
    const Result<void> sent = co_await send(buffers);
    if (early_) co_return *early_;
    if (!sent) co_return pass(sent);
    finishing_ = true;
    co_return co_await read_response(*stream_, limits_, false);
  }

  void cut() override {
    cut_ = true;
    stream_->close();
  }

 private:
  /// What waits for the first byte of the answer; it may outlast the upload.
  struct Watch {
    ChunkedUpload* upload = nullptr;
  };

  void watch_answer() {
    watch_->upload = this;
    stream_->socket().async_wait(Socket::wait_read, [watch = watch_](ErrorCode error) {
      if (!error && watch->upload != nullptr) watch->upload->on_readable();
    });
  }

  /// The peer answers, or closes, while the body is still being written: a write that waits for it must not go on.
  void on_readable() {
    if (finishing_) return;
    answered_ = true;
    ErrorCode ignored;
    if (writing_) stream_->socket().cancel(ignored);
  }

  Task<Result<void>> send(std::span<const asio::const_buffer> buffers) {
    if (cut_) co_return fail(Code::closed, "upload: it was cut");
    if (early_) co_return fail(Code::closed, "upload: answered early with status", early_->status);
    Result<void> written;
    if (!answered_) {
      writing_ = true;
      written = co_await stream_->write(buffers, limits_.write_idle);
      writing_ = false;
      if (written && !answered_) co_return written;
    }
    if (cut_) co_return fail(Code::closed, "upload: it was cut");
    if (!written && written.error().code == Code::timeout) co_return written.error().in("upload");
    Result<Response> answer = co_await read_response(*stream_, limits_, false);
    if (!answer) co_return fail(Code::closed, "upload: the peer closed:", answer.error().message);
    early_ = std::move(*answer);
    co_return fail(Code::closed, "upload: answered early with status", early_->status);
  }

  std::unique_ptr<Stream> stream_;
  ClientLimits limits_;
  std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
  std::optional<Response> early_;
  bool answered_ = false;
  bool writing_ = false;
  bool finishing_ = false;
  bool cut_ = false;
};

}  // namespace

Task<Result<std::unique_ptr<Upload>>> Upload::open(Address address, Request head, ClientLimits limits) {
  assert(head.body.empty());
  Result<std::unique_ptr<Stream>> connected = co_await connect(address, limits.connect);
  if (!connected) co_return pass(connected);
  auto upload = std::make_unique<ChunkedUpload>(std::move(*connected), limits);
  std::string text = request_head(address, head, RequestBody::chunked);
  const Result<void> sent = co_await upload->send_head(std::move(text));
  if (!sent) co_return sent.error().in(head.method, head.target);
  co_return std::move(upload);
}

}  // namespace ribalta::http
