// control-plane/openapi.json, as it was when this program was built.
#pragma once

#include <string_view>

namespace ribalta::control {

std::string_view openapi_document();

}  // namespace ribalta::control
