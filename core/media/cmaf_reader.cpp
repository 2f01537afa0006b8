// A byte stream of CMAF, put together item by item.
#include "core/media/cmaf_reader.h"

#include <utility>

namespace ribalta::media {

Result<std::optional<CmafItem>> CmafReader::next() {
  if (error_) return std::unexpected<Error>{*error_};
  for (;;) {
    auto box = boxes_.next();
    if (!box) {
      error_ = box.error();
      return pass(box);
    }
    if (!*box) return std::nullopt;
    auto item = take(std::move(**box));
    if (!item) {
      error_ = item.error();
      return item;
    }
    if (*item) return item;
  }
}

Result<void> CmafReader::finish() const {
  if (error_) return std::unexpected<Error>{*error_};
  if (boxes_.pending() > 0) return fail(Code::malformed, "ends inside a box: bytes", boxes_.pending());
  if (!item_.empty()) return fail(Code::malformed, "ends inside a chunk or an init segment");
  return {};
}

Result<std::optional<CmafItem>> CmafReader::take(Bytes box) {
  const std::uint32_t type = read_be32(ByteSpan{box}.subspan(4));
  const auto append = [&] { item_.insert(item_.end(), box.begin(), box.end()); };
  const auto taken = [&] {
    after_moof_ = false;
    after_ftyp_ = false;
    events_ = 0;
    return std::make_shared<const Bytes>(std::exchange(item_, {}));
  };
  if (after_moof_ && type != box_type("mdat")) return fail(Code::malformed, "after moof comes", box_name(type));

  switch (type) {
    case box_type("ftyp"):
      if (!item_.empty()) return fail(Code::malformed, "ftyp inside a chunk or an init segment");
      append();
      after_ftyp_ = true;
      return std::nullopt;

    case box_type("moov"): {
      if (!item_.empty() && !after_ftyp_) return fail(Code::malformed, "moov after prft or emsg");
      append();
      InitItem init{.raw = taken()};
      auto config = parse_init(*init.raw);
      if (!config) return pass(config);
      config_ = *config;
      init.config = std::move(*config);
      return CmafItem{std::move(init)};
    }

    case box_type("prft"):
    case box_type("emsg"):
    case box_type("moof"):
      if (!config_) return fail(Code::malformed, "chunk before any init segment");
      if (after_ftyp_) return fail(Code::malformed, "after ftyp comes", box_name(type));
      // One more event than a chunk may have is refused by parse_chunk; here only memory is bounded.
      if (type != box_type("moof") && ++events_ > kEventsMax + 1) {
        return fail(Code::limit, "boxes before a chunk over", kEventsMax + 1);
      }
      append();
      after_moof_ = type == box_type("moof");
      return std::nullopt;

    case box_type("mdat"): {
      if (!after_moof_) return fail(Code::malformed, "mdat without moof");
      append();
      ChunkItem item{.raw = taken()};
      auto chunk = parse_chunk(*item.raw, *config_);
      if (!chunk) return pass(chunk);
      item.chunk = std::move(*chunk);
      return CmafItem{std::move(item)};
    }

    default:
      return std::nullopt;  // styp, sidx, free, mfra and what we do not know
  }
}

}  // namespace ribalta::media
