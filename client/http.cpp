#include "client/http.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace ribalta::client {
namespace {

constexpr long kConnectSeconds = 5;
constexpr long kCallSeconds = 30;
/// A body that does not move for so long is given up (and gone on with); the server's sync of a whole file comes before
/// its answer.
constexpr long kStallSeconds = 120;

struct CurlFreed {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct ListFreed {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, CurlFreed>;
using List = std::unique_ptr<curl_slist, ListFreed>;

struct Transfer {
  const FileBody* file = nullptr;
  std::size_t answer_bytes_max = kAnswerBytesMax;
  std::int64_t sent = 0;
  bool file_failed = false;
  bool too_large = false;
  http::Response response;
};

std::size_t on_body(char* data, std::size_t, std::size_t bytes, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  transfer.too_large = transfer.response.body.size() + bytes > transfer.answer_bytes_max;
  if (transfer.too_large) return 0;
  transfer.response.body.append(data, bytes);
  return bytes;
}

std::size_t on_field(char* data, std::size_t, std::size_t bytes, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  std::string_view line{data, bytes};
  if (line.starts_with("HTTP/")) transfer.response.fields = {};  // an interim answer came before
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bytes;
  std::string_view value = line.substr(colon + 1);
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!value.empty() && space(value.front())) value.remove_prefix(1);
  while (!value.empty() && space(value.back())) value.remove_suffix(1);
  transfer.response.fields.add(line.substr(0, colon), value);
  return bytes;
}

std::size_t on_read(char* into, std::size_t, std::size_t room, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::int64_t left = transfer.file->bytes - transfer.sent;
  const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(left, static_cast<std::int64_t>(room)));
  if (wanted == 0) return 0;
  ssize_t got = -1;
  do {
    got = ::pread(transfer.file->descriptor, into, wanted, static_cast<off_t>(transfer.file->offset + transfer.sent));
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    transfer.file_failed = true;
    return CURL_READFUNC_ABORT;
  }
  transfer.sent += got;
  return static_cast<std::size_t>(got);
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
  const auto& transfer = *static_cast<Transfer*>(context);
  if (transfer.file != nullptr && transfer.file->on_progress) transfer.file->on_progress(sent);
  return 0;
}

}  // namespace

Result<http::Response> perform(const HttpRequest& request) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  const Handle handle{ready == CURLE_OK ? curl_easy_init() : nullptr};
  if (!handle) return fail(Code::internal, "libcurl could not start");
  CURL* curl = handle.get();
  Transfer transfer{.file = request.file, .answer_bytes_max = request.answer_bytes_max};

  curl_slist* list = curl_slist_append(nullptr, "Expect:");  // no waiting for 100 Continue
  for (const auto& [name, value] : request.fields) {
    std::string line = name;
    line += ": ";
    line += value;
    list = curl_slist_append(list, line.c_str());
  }
  const List fields{list};
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  if (!request.socket.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request.socket.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields.get());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (request.file != nullptr) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.file->bytes));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  } else if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (request.method != "HEAD" && request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  if (request.file != nullptr) {
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  } else {
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, kCallSeconds);
  }

  const CURLcode code = curl_easy_perform(curl);
  if (transfer.file_failed) return fail(Code::io, "the file became shorter or can't be read");
  if (transfer.too_large) return fail(Code::limit, "the answer is too large");
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  // A server that refuses a body answers before it has all of it; the answer counts.
  const bool answered_early = code == CURLE_SEND_ERROR && status >= 400;
  if (code != CURLE_OK && !answered_early) return fail(Code::unavailable, curl_easy_strerror(code));
  transfer.response.status = static_cast<unsigned>(status);
  return std::move(transfer.response);
}

}  // namespace ribalta::client
