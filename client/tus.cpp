#include "client/tus.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/describe/class.hpp>
#include <charconv>
#include <optional>
#include <thread>

#include "core/bytes.h"
#include "core/tokens.h"

namespace ribalta::client {
namespace {

namespace fs = std::filesystem;
using Refused = std::unexpected<UploadRefused>;

struct Kept {
  std::string url;
  std::string video;
  bool whole = false;  ///< all bytes are at the server: only the outcome is open
};
BOOST_DESCRIBE_STRUCT(Kept, (), (url, video, whole))

Refused refused(std::string_view code, std::string_view message, const std::string& video = {}) {
  return Refused{UploadRefused{{std::string{code}, std::string{message}}, video}};
}

/// A part of the instance is away, or another connection of ours has not been noticed to be dead: worth another try.
bool passes(unsigned status) {
  return status == 409 || status == 423 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

class Uploader {
 public:
  Uploader(const Instance& instance, std::string token, fs::path file, UploadSettings settings,
           OnUploadProgress on_progress)
      : instance_(instance),
        token_(std::move(token)),
        file_(std::move(file)),
        settings_(std::move(settings)),
        on_progress_(std::move(on_progress)),
        pause_(settings_.retry_first) {}
  ~Uploader() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  std::expected<UploadedFile, UploadRefused> run();

 private:
  std::optional<UploadRefused> open();
  /// Nothing: done, or there is another try. Otherwise why it can't go on.
  std::optional<UploadRefused> create();
  std::optional<UploadRefused> ask_offset();
  std::optional<UploadRefused> send();
  std::optional<UploadRefused> finish();
  std::optional<UploadRefused> keep();
  /// Waits before another try; the tries are counted until bytes move again.
  std::optional<UploadRefused> try_again(const std::string& why);
  std::optional<UploadRefused> try_again(const Result<http::Response>& response);
  void advance(std::int64_t offset);
  HttpRequest request(std::string_view method, std::string_view url) const;

  const Instance& instance_;
  std::string token_;
  fs::path file_;
  UploadSettings settings_;
  OnUploadProgress on_progress_;

  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
  fs::path state_file_;
  std::optional<Kept> kept_;
  std::optional<std::int64_t> offset_;  ///< as the server said last; nothing: it must be asked
  std::int64_t furthest_ = -1;
  int tries_ = 0;
  std::chrono::milliseconds pause_;
};

std::optional<UploadRefused> Uploader::open() {
  descriptor_ = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat found{};
  if (descriptor_ < 0 || ::fstat(descriptor_, &found) != 0) {
    return refused("unreadable", fail_errno("open", file_.string()).error().message).error();
  }
  if (!S_ISREG(found.st_mode)) return refused("unreadable", file_.string() + " is not a file.").error();
  bytes_ = found.st_size;
  const Result<fs::path> folder = state_folder(instance_);
  if (!folder) return refused("state", folder.error().message).error();
  std::error_code ignored;
  const std::string identity = instance_.site() + "\n" + fs::absolute(file_, ignored).lexically_normal().string() +
                               "\n" + std::to_string(bytes_) + "\n" + std::to_string(found.st_mtim.tv_sec) + "." +
                               std::to_string(found.st_mtim.tv_nsec);
  state_file_ = *folder / ("upload-" + hmac_sha256_hex(instance_.admin_token(), identity).substr(0, 24));
  if (const Result<std::string> text = read_small(state_file_)) {
    if (Result<Kept> kept = json_read<Kept>(*text)) kept_ = std::move(*kept);
  }
  return std::nullopt;
}

std::expected<UploadedFile, UploadRefused> Uploader::run() {
  if (auto wrong = open()) return Refused{*wrong};
  while (!kept_ || !kept_->whole) {
    std::optional<UploadRefused> wrong;
    if (!kept_) {
      wrong = create();
    } else if (!offset_) {
      wrong = ask_offset();
    } else if (*offset_ < bytes_) {
      wrong = send();
    } else {
      wrong = finish();
    }
    if (wrong) return Refused{*wrong};
  }
  return UploadedFile{kept_->video, state_file_};
}

HttpRequest Uploader::request(std::string_view method, std::string_view url) const {
  HttpRequest made = instance_.request(method, url);
  made.fields.set("Authorization", "Bearer " + token_);
  made.fields.set("Tus-Resumable", "1.0.0");
  return made;
}

std::optional<UploadRefused> Uploader::create() {
  HttpRequest post = request("POST", instance_.site() + "/files/");
  post.fields.set("Upload-Length", std::to_string(bytes_));
  std::string metadata = "filename " + to_base64(as_bytes(file_.filename().string()));
  if (!settings_.title.empty()) metadata += ",title " + to_base64(as_bytes(settings_.title));
  post.fields.set("Upload-Metadata", metadata);
  const Result<http::Response> response = perform(post);
  // 429 here is a rule (too many uploads under way), not a moment's trouble.
  if (!response || (passes(response->status) && response->status != 429)) return try_again(response);
  if (response->status != 201) return UploadRefused{refusal_of(*response), ""};
  Kept made;
  const Result<std::string> url = instance_.url(response->fields.get("Location"));
  if (!url) return refused("protocol", url.error().message).error();
  made.url = *url;
  made.video = response->fields.get("Ribalta-Video");
  kept_ = std::move(made);
  offset_ = 0;
  return keep();
}

std::optional<UploadRefused> Uploader::ask_offset() {
  const Result<http::Response> response = perform(request("HEAD", kept_->url));
  if (!response || passes(response->status)) return try_again(response);
  if (response->status == 404 || response->status == 410 || response->status == 403) {
    kept_.reset();  // expired, or of another account: from the beginning
    return std::nullopt;
  }
  if (response->status / 100 != 2) return UploadRefused{refusal_of(*response), kept_->video};
  const std::optional<std::int64_t> offset = number(response->fields.get("Upload-Offset"));
  if (!offset || *offset > bytes_)
    return refused("protocol", "The server's answer makes no sense.", kept_->video).error();
  advance(*offset);
  return std::nullopt;
}

std::optional<UploadRefused> Uploader::send() {
  const std::int64_t from = *offset_;
  offset_.reset();  // until the server says where it stands
  FileBody body{.descriptor = descriptor_, .offset = from, .bytes = bytes_ - from};
  body.on_progress = [this, from](std::int64_t sent) {
    if (on_progress_) on_progress_(from + sent, bytes_, "");
  };
  HttpRequest patch = request("PATCH", kept_->url);
  patch.fields.set("Content-Type", "application/offset+octet-stream");
  patch.fields.set("Upload-Offset", std::to_string(from));
  patch.file = &body;
  const Result<http::Response> response = perform(patch);
  if (!response && response.error().code == Code::io) {
    return refused("unreadable", "The file changed while it was uploaded.", kept_->video).error();
  }
  if (!response || passes(response->status)) return try_again(response);
  if (response->status == 404 || response->status == 410) {
    kept_.reset();
    return try_again("the upload expired");
  }
  if (response->status / 100 != 2) return UploadRefused{refusal_of(*response), kept_->video};
  const std::optional<std::int64_t> offset = number(response->fields.get("Upload-Offset"));
  if (!offset || *offset > bytes_)
    return refused("protocol", "The server's answer makes no sense.", kept_->video).error();
  advance(*offset);
  return std::nullopt;
}

std::optional<UploadRefused> Uploader::finish() {
  kept_->whole = true;
  return keep();
}

std::optional<UploadRefused> Uploader::keep() {
  const Result<void> kept = write_private(state_file_, json_write(*kept_));
  if (!kept) return refused("state", kept.error().message, kept_->video).error();
  return std::nullopt;
}

void Uploader::advance(std::int64_t offset) {
  offset_ = offset;
  if (offset > furthest_) {
    furthest_ = offset;
    tries_ = 0;
    pause_ = settings_.retry_first;
  }
  if (on_progress_) on_progress_(offset, bytes_, "");
}

std::optional<UploadRefused> Uploader::try_again(const Result<http::Response>& response) {
  return try_again(response ? refusal_of(*response).message : response.error().message);
}

std::optional<UploadRefused> Uploader::try_again(const std::string& why) {
  if (++tries_ >= settings_.tries_max) {
    return refused(
               "unreachable",
               "Gave up after " + std::to_string(tries_) + " tries: " + why + " Run the same command again to go on.",
               kept_ ? kept_->video : "")
        .error();
  }
  if (on_progress_) on_progress_(std::max<std::int64_t>(furthest_, 0), bytes_, why);
  std::this_thread::sleep_for(pause_);
  pause_ = std::min(pause_ * 2, settings_.retry_max);
  return std::nullopt;
}

}  // namespace

void UploadedFile::forget() {
  std::error_code ignored;
  fs::remove(state_file_, ignored);
}

std::expected<UploadedFile, UploadRefused> upload_file(const Instance& instance, const std::string& token,
                                                       const fs::path& file, const UploadSettings& settings,
                                                       const OnUploadProgress& on_progress) {
  Uploader uploader{instance, token, file, settings, on_progress};
  return uploader.run();
}

}  // namespace ribalta::client
