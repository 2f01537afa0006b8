// The packager's section of ribalta.toml.
#pragma once

#include "core/config.h"
#include "packager/live/context.h"

namespace ribalta::packager {

struct PackagerConfig {
  LiveSettings live;
};
/// Describes and reads `[packager]`; complaints stay in the reader.
void read_packager_config(ConfigReader& reader, PackagerConfig& config);

}  // namespace ribalta::packager
