// `ribalta-transcode probe`: what this machine can encode, found out by encoding a frame with each encoder.
#pragma once

namespace ribalta::transcode {

/// Prints one line for each encoder. @return 0 when H.264 can be encoded on the CPU, else 1.
int probe_main();

}  // namespace ribalta::transcode
