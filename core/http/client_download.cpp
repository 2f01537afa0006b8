#include <array>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <vector>

#include "core/http/client_message.h"

namespace ribalta::http {
namespace {

namespace beast = boost::beast;

class StreamedDownload final : public Download {
 public:
  StreamedDownload(std::unique_ptr<Stream> stream, ClientLimits limits)
      : stream_(std::move(stream)), limits_(limits), piece_(kPieceBytes) {
    parser_.body_limit(boost::none);
  }

  Task<Result<void>> begin(std::string request, bool is_head_request) {
    parser_.skip(is_head_request);
    const std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
    const Result<void> written = co_await stream_->write(buffers, limits_.write_idle);
    if (!written) co_return written;
    // A held request may be answered as late as a piece may come.
    stream_->reading_within(limits_.answer + limits_.read_idle);
    while (!parser_.is_header_done()) {
      const Result<void> more = co_await read_more();
      if (!more) co_return more;
    }
    stream_->reading_done();
    head_ = {parser_.get().result_int(), fields_of(parser_.get())};
    co_return Result<void>{};
  }

  [[nodiscard]] const ResponseHead& head() const override { return head_; }

  Task<Result<ByteSpan>> read_some() override {
    auto& body = parser_.get().body();
    body.data = piece_.data();
    body.size = piece_.size();
    body.more = true;
    while (true) {
      const Result<void> fed = feed(parser_, buffer_);
      if (!fed) co_return pass(fed);
      const std::size_t got = piece_.size() - body.size;
      if (got > 0 || parser_.is_done()) co_return ByteSpan{piece_}.first(got);
      stream_->reading_within(limits_.read_idle);
      const Result<void> more = co_await read_more();
      stream_->reading_done();
      if (!more) co_return pass(more);
    }
  }

  void cut() override { stream_->close(); }

 private:
  Task<Result<void>> read_more() {
    const ErrorCode error = co_await fill(*stream_, buffer_);
    if (error == asio::error::eof) co_return feed_end(parser_);
    if (error) co_return std::unexpected<Error>{read_error(*stream_, error)};
    // Only the head is parsed here: the body waits in the buffer until somebody brings memory for it.
    if (parser_.is_header_done()) co_return Result<void>{};
    co_return feed_head();
  }

  Result<void> feed_head() {
    ErrorCode error;
    buffer_.consume(parser_.put(buffer_.data(), error));
    if (error && error != beast::http::error::need_more) return fail(Code::malformed, "answer:", error.message());
    return {};
  }

  std::unique_ptr<Stream> stream_;
  ClientLimits limits_;
  beast::http::response_parser<beast::http::buffer_body> parser_;
  beast::flat_buffer buffer_;
  std::vector<std::byte> piece_;
  ResponseHead head_;
};

}  // namespace

Task<Result<std::unique_ptr<Download>>> Download::open(Address address, Request request, ClientLimits limits) {
  Result<std::unique_ptr<Stream>> connected = co_await connect(address, limits.connect);
  if (!connected) co_return pass(connected);
  auto download = std::make_unique<StreamedDownload>(std::move(*connected), limits);
  std::string text = request_head(address, request, RequestBody::whole) + request.body;
  const Result<void> begun = co_await download->begin(std::move(text), request.method == "HEAD");
  if (!begun) co_return begun.error().in(request.method, request.target);
  co_return std::move(download);
}

}  // namespace ribalta::http
