#include "client/check/source.h"

#include <curl/curl.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "client/http.h"
#include "core/http/http.h"

namespace ribalta::check {
namespace {

namespace fs = std::filesystem;

struct UrlFreed {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct TextFreed {
  void operator()(char* text) const { curl_free(text); }
};

Result<std::string> resolve_url(const std::string& base, const std::string& reference) {
  const std::unique_ptr<CURLU, UrlFreed> url{curl_url()};
  if (!url) return fail(Code::internal, "libcurl could not start");
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) return fail(Code::malformed, "URL:", base);
  if (curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK) {
    return fail(Code::malformed, "not a URI reference:", reference.substr(0, 120));
  }
  char* text = nullptr;
  if (curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) return fail(Code::malformed, "URL:", reference);
  const std::unique_ptr<char, TextFreed> owned{text};
  if (!is_url(text)) return fail(Code::forbidden, "neither http nor https:", text);
  return std::string{text};
}

Result<std::string> resolve_file(const std::string& base, const std::string& reference) {
  const auto decoded = http::percent_decode(reference.substr(0, reference.find_first_of("?#")));
  if (!decoded) return decoded.error().in("path in a playlist");
  const fs::path path{*decoded};
  if (path.is_absolute()) return fail(Code::forbidden, "an absolute path in a playlist:", *decoded);
  const fs::path joined = (fs::path{base}.parent_path() / path).lexically_normal();
  for (const fs::path& part : path) {
    if (part == "..") return fail(Code::forbidden, "a path out of the folder:", *decoded);
  }
  return joined.string();
}

Result<std::string> fetch_file(const std::string& location, std::optional<ByteRange> range) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(location, error);
  if (error) return fail(Code::not_found, "no such file:", location);
  const ByteRange wanted = range.value_or(ByteRange{0, size});
  if (wanted.offset > size || wanted.bytes > size - wanted.offset) {
    return fail(Code::malformed, "a byte range past the end of the file:", location);
  }
  if (wanted.bytes > kMediaBytesMax) return fail(Code::limit, "bytes:", wanted.bytes);
  std::ifstream file{location, std::ios::binary};
  std::string out(wanted.bytes, '\0');
  file.seekg(static_cast<std::streamoff>(wanted.offset));
  file.read(out.data(), static_cast<std::streamsize>(out.size()));
  if (!file) return fail(Code::io, "can't be read:", location);
  return out;
}

}  // namespace

bool is_url(std::string_view location) { return location.starts_with("http://") || location.starts_with("https://"); }

Result<std::string> resolve(const std::string& base, const std::string& reference) {
  return is_url(base) ? resolve_url(base, reference) : resolve_file(base, reference);
}

Result<std::string> fetch(const std::string& location, std::optional<ByteRange> range) {
  if (!is_url(location)) return fetch_file(location, range);
  client::HttpRequest request{.url = location, .answer_bytes_max = kMediaBytesMax};
  if (range) {
    if (range->bytes == 0 || range->bytes > kMediaBytesMax) return fail(Code::limit, "byte range:", range->bytes);
    request.fields.add(
        "Range", "bytes=" + std::to_string(range->offset) + "-" + std::to_string(range->offset + range->bytes - 1));
  }
  auto response = client::perform(request);
  if (!response) return response.error().in(location);
  if (response->status != (range ? 206U : 200U)) {
    const bool absent = response->status == 403 || response->status == 404 || response->status == 410;
    return fail(absent ? Code::not_found : Code::unavailable, "status", response->status).error().in(location);
  }
  if (range && response->body.size() != range->bytes) {
    return fail(Code::malformed, "another number of bytes than the range has:", response->body.size())
        .error()
        .in(location);
  }
  return std::move(response->body);
}

}  // namespace ribalta::check
