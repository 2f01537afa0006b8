// `ribalta-transcode probe`: what this machine can encode, found out by encoding a frame with each encoder.
#pragma once

namespace ribalta::transcode {

/// Prints one line for each encoder. `argc`, `argv`: what stands behind `probe`.
/// @return 0 when H.264 can be encoded on the CPU, else 1; 2 wrong usage.
int probe_main(int argc, char** argv);

}  // namespace ribalta::transcode
