// May this caller touch that upload? Asked of the control plane, and again every few seconds while bytes come: an
// account that is suspended must not go on uploading for as long as its line holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "core/async.h"
#include "core/http/http.h"
#include "core/ids.h"
#include "core/result.h"
#include "ingest/rooms.h"

namespace ribalta::ingest::tus {

/// How long an answer holds. Each upload under way costs the control plane one look in that time.
inline constexpr std::chrono::seconds kAccessLifetime{5};
/// Answers remembered; each is a caller and an upload. Beyond, all are asked about again.
inline constexpr std::size_t kAccessMax = 1'024;
/// Cookie, X-Csrf-Token and Authorization, each, that are handed on.
inline constexpr std::size_t kCredentialBytesMax = 8 * 1024;

/// What a browser or a script shows of itself, handed on as it came and never logged.
struct Credentials {
  std::string cookie;
  std::string csrf;
  std::string authorization;
};
Credentials credentials_of(const http::RequestHead& head);

struct Authorised {
  UploadId upload = UploadId::random();
  VideoId video = VideoId::random();
  std::string user;
};

class UploadAccess {
 public:
  explicit UploadAccess(const Rooms& rooms) : rooms_(rooms) {}

  /// A new upload. @return what the control plane made of it, or the answer for the client (401, 403, 413, 503).
  Task<std::expected<Authorised, http::Response>> authorise(Credentials credentials, std::int64_t bytes,
                                                            std::string filename, std::string title,
                                                            std::string replaces);
  /// An upload that exists. @return true, or the answer for the client.
  Task<std::expected<void, http::Response>> check(Credentials credentials, UploadId upload);

 private:
  const Rooms& rooms_;
  std::mutex mutex_;
  std::map<std::string, std::chrono::steady_clock::time_point> allowed_;  ///< by a hash of caller and upload
};

}  // namespace ribalta::ingest::tus
