// JSON bodies against the schemas of the built-in OpenAPI document: no body may crash the checker.

#include "hub/api/embedded.h"
#include "hub/api/schema.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const auto document = brim::Json::parse(brim::hub::openapi_document());
    if (!document)
        std::abort();
    static const brim::hub::Schemas schemas((*document)["components"]["schemas"]);
    if (size < 1)
        return 0;
    const auto& all = (*document)["components"]["schemas"].members();
    const auto body = brim::Json::parse({reinterpret_cast<const char*>(data + 1), size - 1});
    if (body)
        (void)schemas.check(all[data[0] % all.size()].second, *body);
    return 0;
}
