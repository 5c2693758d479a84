// A thing model from anybody: never crashes, and what it accepts exports to a document that reads back as
// itself.

#include "thing/model.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto model = brim::thing::Model::parse_text({reinterpret_cast<const char*>(data), size});
    if (!model) {
        if (model.error().text().empty())
            std::abort();
        return 0;
    }
    const brim::Json exported = model->to_tsl("pk");
    const auto again = brim::thing::Model::parse(exported);
    if (!again || again->to_tsl("pk") != exported)
        std::abort();
    return 0;
}
