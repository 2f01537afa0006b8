#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <system_error>

#include "core/ids.h"
#include "core/log.h"
#include "core/store/object_store.h"

namespace ribalta {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kKeyCharsMax = 512;
/// Files that are being written, out of sight: no key begins with a dot. Each process that writes has a folder in it,
/// with a lock beside it that ends with the process, so that another one's start can tell leftovers from work.
constexpr std::string_view kTemporary{".tmp"};
constexpr std::size_t kCopyBytes = 1024 * 1024;
/// A folder that was just made can be removed as empty by somebody else before the file is in it.
constexpr int kRenameTries = 5;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool good() const { return fd_ >= 0; }

 private:
  int fd_;
};

Result<void> write_all(int fd, ByteSpan bytes, const fs::path& file) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write", file.string());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> sync_folder(const fs::path& folder) {
  const Descriptor fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.good()) return fail_errno("open folder", folder.string());
  if (::fsync(fd.get()) != 0) return fail_errno("sync folder", folder.string());
  return {};
}

/// Makes the folder and those above it. Where asked, each new name is on the disk when this returns.
Result<void> make_folders(const fs::path& folder, bool durable) {
  if (::mkdir(folder.c_str(), 0770) == 0) return durable ? sync_folder(folder.parent_path()) : Result<void>{};
  if (errno == EEXIST) return {};
  if (errno != ENOENT) return fail_errno("make folder", folder.string());
  const Result<void> above = make_folders(folder.parent_path(), durable);
  if (!above) return above;
  if (::mkdir(folder.c_str(), 0770) != 0 && errno != EEXIST) return fail_errno("make folder", folder.string());
  return durable ? sync_folder(folder.parent_path()) : Result<void>{};
}

/// Gives a whole file its name. @error unsupported: another file system.
Result<void> publish(const fs::path& from, const fs::path& to, bool durable) {
  for (int i = 0; ::rename(from.c_str(), to.c_str()) != 0; ++i) {
    const bool last = i + 1 >= kRenameTries;
    if (errno == EXDEV) return fail(Code::unsupported, "rename to another file system:", to.string());
    if (last || errno != ENOENT) return fail_errno("rename to", to.string());
    const Result<void> made = make_folders(to.parent_path(), durable);
    if (!made && made.error().code != Code::not_found) return made;
  }
  return durable ? sync_folder(to.parent_path()) : Result<void>{};
}

class TemporaryFile {
 public:
  static Result<TemporaryFile> create(const fs::path& folder) {
    const std::array<char, kIdChars> id = random_id();
    fs::path path = folder / std::string_view{id.data(), id.size()};
    Descriptor fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660)};
    if (!fd.good()) return fail_errno("create", path.string());
    return TemporaryFile{std::move(path), std::move(fd)};
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  Result<void> append(ByteSpan bytes) { return write_all(fd_.get(), bytes, path_); }
  Result<void> publish_as(const fs::path& to, bool durable) {
    if (durable && ::fsync(fd_.get()) != 0) return fail_errno("sync", path_.string());
    const Result<void> published = publish(path_, to, durable);
    if (published) path_.clear();
    return published;
  }

 private:
  TemporaryFile(fs::path path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  fs::path path_;
  Descriptor fd_;
};

class FileReader final : public ObjectReader {
 public:
  FileReader(Descriptor fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  Result<Bytes> read(std::uint64_t offset, std::size_t size) const override {
    if (offset > size_ || size > size_ - offset)
      return fail(Code::malformed, "read: past the object's end, bytes", size_);
    Bytes out(size);
    std::size_t have = 0;
    while (have < size) {
      const ssize_t got = ::pread(fd_.get(), out.data() + have, size - have, static_cast<off_t>(offset + have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno("read object");
      if (got == 0) return fail(Code::io, "read object: it became shorter");
      have += static_cast<std::size_t>(got);
    }
    return out;
  }

 private:
  Descriptor fd_;
  std::uint64_t size_;
};

class FileWriter final : public ObjectWriter {
 public:
  FileWriter(TemporaryFile file, fs::path target) : file_(std::move(file)), target_(std::move(target)) {}
  Result<void> append(ByteSpan bytes) override {
    assert(!committed_);
    const Result<void> appended = file_.append(bytes);
    if (appended) size_ += bytes.size();
    return appended;
  }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  Result<void> commit_durable() override {
    assert(!committed_);
    const Result<void> published = file_.publish_as(target_, true);
    committed_ = published.has_value();
    return published;
  }

 private:
  TemporaryFile file_;
  fs::path target_;
  std::uint64_t size_ = 0;
  bool committed_ = false;
};

class FolderStore final : public ObjectStore {
 public:
  FolderStore(fs::path folder, fs::path temporary, Descriptor lock)
      : folder_(std::move(folder)), temporary_(std::move(temporary)), lock_(std::move(lock)) {}
  ~FolderStore() override {
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);
    ::unlink((temporary_.string() + ".lock").c_str());
  }

  Result<void> put(std::string_view key, ByteSpan bytes) override { return write(key, bytes, false); }
  Result<void> put_durable(std::string_view key, ByteSpan bytes) override { return write(key, bytes, true); }

  Result<void> put_file_durable(std::string_view key, const fs::path& file) override {
    const Result<fs::path> target = path_of(key);
    if (!target) return pass(target);
    const Descriptor fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (!fd.good()) return fail_errno("open", file.string());
    if (::fsync(fd.get()) != 0) return fail_errno("sync", file.string());
    const Result<void> moved = publish(file, *target, true);
    if (moved || moved.error().code != Code::unsupported) return moved;

    Result<TemporaryFile> copy = TemporaryFile::create(temporary_);
    if (!copy) return pass(copy);
    Bytes piece(kCopyBytes);
    while (true) {
      const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno("read", file.string());
      if (got == 0) break;
      const Result<void> written = copy->append(ByteSpan{piece}.first(static_cast<std::size_t>(got)));
      if (!written) return written;
    }
    const Result<void> copied = copy->publish_as(*target, true);
    if (copied) ::unlink(file.c_str());
    return copied;
  }

  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override {
    Result<fs::path> target = path_of(key);
    if (!target) return pass(target);
    Result<TemporaryFile> file = TemporaryFile::create(temporary_);
    if (!file) return pass(file);
    return std::make_unique<FileWriter>(std::move(*file), std::move(*target));
  }

  Result<Bytes> get(std::string_view key, std::uint64_t bytes_max) const override {
    const Result<std::unique_ptr<ObjectReader>> reader = open(key);
    if (!reader) return pass(reader);
    if ((*reader)->size() > bytes_max) return fail(Code::limit, "object too large, bytes", (*reader)->size());
    return (*reader)->read(0, static_cast<std::size_t>((*reader)->size()));
  }

  Result<std::unique_ptr<ObjectReader>> open(std::string_view key) const override {
    const Result<fs::path> path = path_of(key);
    if (!path) return pass(path);
    Descriptor fd{::open(path->c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat found{};
    if (!fd.good() || ::fstat(fd.get(), &found) != 0) {
      if (errno == ENOTDIR) return fail(Code::not_found, "no object", key);
      return fail_errno("object", key);
    }
    if (!S_ISREG(found.st_mode)) return fail(Code::not_found, "no object", key);
    return std::make_unique<FileReader>(std::move(fd), static_cast<std::uint64_t>(found.st_size));
  }

  Result<fs::path> local_path(std::string_view key) const override {
    const Result<std::unique_ptr<ObjectReader>> there = open(key);
    if (!there) return pass(there);
    return path_of(key);
  }

  Result<std::vector<ObjectInfo>> list(std::string_view prefix) const override;
  Result<void> remove(std::string_view key) override;
  Result<void> remove_all(std::string_view prefix) override;

 private:
  [[nodiscard]] Result<fs::path> path_of(std::string_view key) const {
    if (!is_object_key(key)) return fail(Code::malformed, "not an object's key:", key);
    return folder_ / key;
  }
  [[nodiscard]] Result<fs::path> folder_of(std::string_view prefix) const {
    if (!prefix.ends_with('/')) return fail(Code::malformed, "a prefix of keys ends in '/':", prefix);
    return path_of(prefix.substr(0, prefix.size() - 1));
  }
  Result<void> write(std::string_view key, ByteSpan bytes, bool durable) {
    const Result<fs::path> target = path_of(key);
    if (!target) return pass(target);
    Result<TemporaryFile> file = TemporaryFile::create(temporary_);
    if (!file) return pass(file);
    const Result<void> appended = file->append(bytes);
    if (!appended) return appended;
    return file->publish_as(*target, durable);
  }
  /// Folders above a removed object that have nothing left in them.
  void remove_empty_above(const fs::path& path) {
    for (fs::path above = path.parent_path(); above != folder_; above = above.parent_path()) {
      if (::rmdir(above.c_str()) != 0) return;
    }
  }

  fs::path folder_;
  fs::path temporary_;
  Descriptor lock_;
};

Result<std::vector<ObjectInfo>> FolderStore::list(std::string_view prefix) const {
  const Result<fs::path> folder = folder_of(prefix);
  if (!folder) return pass(folder);
  std::vector<ObjectInfo> objects;
  std::error_code error;
  fs::recursive_directory_iterator entries{*folder, error};
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) return objects;
  while (!error && entries != fs::recursive_directory_iterator{}) {
    std::error_code gone;  // somebody may remove what is being listed
    if (entries->is_regular_file(gone)) {
      const std::uintmax_t bytes = entries->file_size(gone);
      if (!gone) objects.push_back({entries->path().lexically_relative(folder_).string(), bytes});
    }
    entries.increment(error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Code::io, "list " + std::string{prefix} + ":", error.message());
  }
  std::ranges::sort(objects, {}, &ObjectInfo::key);
  return objects;
}

Result<void> FolderStore::remove(std::string_view key) {
  const Result<fs::path> path = path_of(key);
  if (!path) return pass(path);
  if (::unlink(path->c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR) return {};
    return fail_errno("remove", key);
  }
  remove_empty_above(*path);
  return {};
}

Result<void> FolderStore::remove_all(std::string_view prefix) {
  const Result<fs::path> folder = folder_of(prefix);
  if (!folder) return pass(folder);
  // Out of sight at once, and then out of existence: nobody sees half of it.
  const std::array<char, kIdChars> id = random_id();
  const fs::path aside = temporary_ / std::string_view{id.data(), id.size()};
  if (::rename(folder->c_str(), aside.c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return fail_errno("remove all of", prefix);
  }
  std::error_code error;
  fs::remove_all(aside, error);
  if (error) return fail(Code::io, "remove all of " + std::string{prefix} + ":", error.message());
  remove_empty_above(*folder);
  return {};
}

/// @error conflict: somebody holds it; io, no_space, not_found.
Result<Descriptor> try_lock(const fs::path& lock, int flags) {
  Descriptor fd{::open(lock.c_str(), O_RDWR | O_CLOEXEC | flags, 0660)};
  if (!fd.good()) return fail_errno("open", lock.string());
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) return fail(Code::conflict, "held by another process:", lock.string());
  return fail_errno("lock", lock.string());
}

void remove_leftovers(const fs::path& temporary) {
  std::vector<fs::path> locks;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{temporary, error}) {
    if (entry.path().extension() == ".lock") locks.push_back(entry.path());
  }
  for (const fs::path& lock : locks) {
    const Result<Descriptor> ended = try_lock(lock, 0);
    if (!ended) continue;  // its process lives
    fs::path folder = lock;
    folder.replace_extension();
    std::error_code ignored;
    const std::uintmax_t removed = fs::remove_all(folder, ignored);
    ::unlink(lock.c_str());
    if (removed > 1 && removed != static_cast<std::uintmax_t>(-1)) {
      log_info("leftovers of a writer that was killed are removed", {{"files", removed - 1}});
    }
  }
}

}  // namespace

bool is_object_key(std::string_view key) {
  if (key.empty() || key.size() > kKeyCharsMax) return false;
  char before = '/';
  for (const char c : key) {
    const bool word =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!word && c != '.' && c != '/') return false;
    if (before == '/' && (c == '/' || c == '.')) return false;  // no empty name, none that begins with a dot
    if (before == '.' && c == '.') return false;
    before = c;
  }
  return before != '/';
}

Result<std::unique_ptr<ObjectStore>> open_folder_store(const std::filesystem::path& folder) {
  std::error_code error;
  fs::path whole = fs::absolute(folder, error).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  const fs::path all = whole / kTemporary;
  const Result<void> made = make_folders(all, true);
  if (!made) return made.error().in("object store");
  remove_leftovers(all);
  while (true) {
    const std::array<char, kIdChars> id = random_id();
    const fs::path own = all / std::string_view{id.data(), id.size()};
    const fs::path lock = own.string() + ".lock";
    Result<Descriptor> held = try_lock(lock, O_CREAT | O_EXCL);
    struct stat found{};
    if (!held && held.error().code != Code::conflict) return held.error().in("object store");
    // Another's start may have taken the new lock for a leftover, before it was held.
    if (!held || ::fstat(held->get(), &found) != 0 || found.st_nlink == 0) continue;
    if (::mkdir(own.c_str(), 0770) != 0) return fail_errno("object store: make folder", own.string());
    return std::make_unique<FolderStore>(std::move(whole), own, std::move(*held));
  }
}

}  // namespace ribalta
