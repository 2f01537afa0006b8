// One request and its answer on a Connection. Inside core/http only.
#pragma once

#include <array>
#include <vector>

#include "core/http/server_connection.h"

namespace ribalta::http {

class ServerExchange final : public Exchange {
 public:
  ServerExchange(Connection& connection, Connection::Parser& parser, RequestHead head);

  [[nodiscard]] const RequestHead& head() const override { return head_; }
  Task<Result<ByteSpan>> read_some() override;
  Task<Result<std::string>> read_all(std::optional<std::uint64_t> max) override;
  Task<Result<void>> respond(Response response) override;
  Task<Result<void>> start(ResponseHead head) override;
  Task<Result<void>> start(ResponseHead head, std::uint64_t content_length) override;
  Task<Result<void>> write(ByteSpan bytes) override;
  Task<Result<void>> finish() override;
  bool client_gone() override;
  Task<Woken> until_gone_or(Event& event, std::uint64_t seen, std::chrono::milliseconds limit) override;
  void cut() override { connection_.cut(); }
  [[nodiscard]] asio::any_io_executor loop() const override { return connection_.stream_.loop(); }
  [[nodiscard]] bool answered() const override { return status_ != 0; }

  [[nodiscard]] unsigned status() const { return status_; }
  [[nodiscard]] bool finished() const { return body_ == Body::finished; }
  /// After the handler: the next request may follow on this connection.
  [[nodiscard]] bool reusable() const { return keep_; }
  /// Reads what the handler left of the body. False: the connection can't be used again.
  Task<bool> drop_rest();

 private:
  enum class Body { none, sized, chunked, until_close, dropped, finished };

  Task<Result<void>> send_head(const ResponseHead& head, Body body, std::optional<std::uint64_t> length,
                               ByteSpan whole_body);
  [[nodiscard]] bool may_keep() const;
  void watch_client();

  Connection& connection_;
  Connection::Parser& parser_;
  RequestHead head_;
  std::vector<std::byte> piece_;
  bool continue_due_ = false;  ///< Expect: 100-continue was asked, and no 100 sent yet
  bool reading_ = false;
  bool read_failed_ = false;  ///< the body has no known end any more
  bool keep_ = false;
  unsigned status_ = 0;
  Body body_ = Body::none;
  std::uint64_t left_ = 0;  ///< of a body of known length
};

}  // namespace ribalta::http
