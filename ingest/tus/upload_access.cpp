#include "ingest/tus/upload_access.h"

#include <boost/describe/class.hpp>

#include "core/json.h"
#include "ingest/tus/protocol.h"

namespace ribalta::ingest::tus {
namespace {

struct AuthoriseCall {
  std::string cookie;
  std::string csrf;
  std::string authorization;
  std::int64_t bytes = 0;
  std::string filename;
  std::string title;
  std::string replaces;
};
BOOST_DESCRIBE_STRUCT(AuthoriseCall, (), (cookie, csrf, authorization, bytes, filename, title, replaces))
struct AuthoriseAnswer {
  std::string user;
  std::string video;
  std::string upload;
};
BOOST_DESCRIBE_STRUCT(AuthoriseAnswer, (), (user, video, upload))
struct AccessCall {
  std::string cookie;
  std::string csrf;
  std::string authorization;
  std::string upload;
};
BOOST_DESCRIBE_STRUCT(AccessCall, (), (cookie, csrf, authorization, upload))

http::Response not_now() {
  http::Response response =
      http::Response::error(503, "unavailable", "Uploads cannot be checked right now. Please try again in a minute.");
  response.fields.set("Retry-After", "5");
  return response;
}

/// The control plane's refusal as it is; anything else of it is our own trouble.
http::Response refusal(const Result<http::Response>& answer) {
  if (!answer || answer->status >= 500 || answer->status < 400) return not_now();
  const ErrorBody error = read_error_body(answer->body);
  if (error.code.empty()) return http::Response::error(answer->status, "forbidden", "This upload is not allowed.");
  return http::Response::error(answer->status, error.code, error.message);
}

std::string caller_hash(const Credentials& credentials, UploadId upload) {
  Hasher hasher{ChecksumKind::sha256};
  for (const std::string_view part : {std::string_view{credentials.cookie}, std::string_view{credentials.csrf},
                                      std::string_view{credentials.authorization}, upload.view()}) {
    hasher.add(as_bytes(part));
    hasher.add(as_bytes(std::string_view{"\0", 1}));
  }
  return to_hex(hasher.finish());
}

std::string bounded(std::string_view field) {
  return field.size() <= kCredentialBytesMax ? std::string{field} : std::string{};
}

}  // namespace

Credentials credentials_of(const http::RequestHead& head) {
  return {bounded(head.fields.get("Cookie")), bounded(head.fields.get("X-Csrf-Token")),
          bounded(head.fields.get("Authorization"))};
}

Task<std::expected<Authorised, http::Response>> UploadAccess::authorise(Credentials credentials, std::int64_t bytes,
                                                                        std::string filename, std::string title,
                                                                        std::string replaces) {
  std::string body = json_write(AuthoriseCall{std::move(credentials.cookie), std::move(credentials.csrf),
                                              std::move(credentials.authorization), bytes, std::move(filename),
                                              std::move(title), std::move(replaces)});
  const Result<http::Response> answer =
      co_await rooms_.control("POST", "/internal/v1/uploads/authorise", std::move(body));
  if (!answer || answer->status != 200) co_return std::unexpected{refusal(answer)};
  const Result<AuthoriseAnswer> read = json_read<AuthoriseAnswer>(answer->body, JsonUnknown::ignore);
  if (!read) co_return std::unexpected{not_now()};
  const Result<UploadId> upload = UploadId::parse(read->upload);
  const Result<VideoId> video = VideoId::parse(read->video);
  if (!upload || !video) co_return std::unexpected{not_now()};
  co_return Authorised{*upload, *video, read->user};
}

Task<std::expected<void, http::Response>> UploadAccess::check(Credentials credentials, UploadId upload) {
  std::string caller = caller_hash(credentials, upload);
  const auto now = std::chrono::steady_clock::now();
  {
    const std::scoped_lock lock{mutex_};
    const auto found = allowed_.find(caller);
    if (found != allowed_.end() && found->second > now) co_return std::expected<void, http::Response>{};
  }
  std::string body = json_write(AccessCall{std::move(credentials.cookie), std::move(credentials.csrf),
                                           std::move(credentials.authorization), upload.text()});
  const Result<http::Response> answer = co_await rooms_.control("POST", "/internal/v1/uploads/access", std::move(body));
  if (!answer || answer->status != 200) co_return std::unexpected{refusal(answer)};
  const std::scoped_lock lock{mutex_};
  if (allowed_.size() >= kAccessMax) allowed_.clear();
  allowed_.insert_or_assign(std::move(caller), now + kAccessLifetime);
  co_return std::expected<void, http::Response>{};
}

}  // namespace ribalta::ingest::tus
