# brim_embed(TARGET ROOT OPENAPI ERRORS files...): builds files into the target by .incbin and writes the table that
# hub/api/embedded.h describes. ROOT is cut from the names; OPENAPI and ERRORS (docs/errors.md) have functions of their own.
function(brim_embed target root openapi errors)
    set(assembly "${CMAKE_CURRENT_BINARY_DIR}/embedded.S")
    set(table "${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp")
    set(asm_text "    .section .rodata\n")
    set(declarations "")
    set(rows "")
    set(number 0)
    foreach(file ${openapi} ${errors} ${ARGN})
        string(APPEND asm_text "    .global brim_file_${number}\n    .global brim_file_${number}_end\n    .balign 16\nbrim_file_${number}:\n    .incbin \"${file}\"\nbrim_file_${number}_end:\n    .byte 0\n")
        string(APPEND declarations "extern \"C\" const char brim_file_${number}[];\nextern \"C\" const char brim_file_${number}_end[];\n")
        if(number GREATER 1)
            file(RELATIVE_PATH name ${root} ${file})
            string(APPEND rows "    {\"/${name}\", view(brim_file_${number}, brim_file_${number}_end)},\n")
        endif()
        math(EXPR number "${number} + 1")
    endforeach()
    string(APPEND asm_text "    .section .note.GNU-stack,\"\",%progbits\n")
    file(CONFIGURE OUTPUT ${assembly} CONTENT "${asm_text}" @ONLY)
    file(CONFIGURE OUTPUT ${table} CONTENT "// Made by cmake/embed.cmake.
#include \"hub/api/embedded.h\"
#include <vector>
${declarations}
namespace brim::hub {
namespace {
std::string_view view(const char* begin, const char* end) { return {begin, static_cast<std::size_t>(end - begin)}; }
const std::vector<EmbeddedFile>& files() {
    static const std::vector<EmbeddedFile> all{
${rows}    };
    return all;
}
} // namespace
const EmbeddedFile* find_embedded(std::string_view path) noexcept {
    for (const EmbeddedFile& file : files()) {
        if (file.path == path) return &file;
    }
    return nullptr;
}
std::string_view openapi_document() noexcept { return view(brim_file_0, brim_file_0_end); }
std::string_view errors_document() noexcept { return view(brim_file_1, brim_file_1_end); }
} // namespace brim::hub
" @ONLY)
    set_source_files_properties(${assembly} PROPERTIES OBJECT_DEPENDS "${openapi};${errors};${ARGN}")
    target_sources(${target} PRIVATE ${assembly} ${table})
endfunction()
