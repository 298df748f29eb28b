package("safetensors-h")
    set_kind("library", {headeronly = true})
    set_homepage("@HOMEPAGE@")
    set_description("Reads, validates, converts and writes safetensors files: one C header")
    set_license("MIT-0")

    add_urls("@URL@/safetensors-h-$(version).tar.gz")
    add_versions("0.5.1", "@SHA256@")

    on_install(function (package)
        os.cp("safetensors.h", package:installdir("include"))
    end)

    on_test(function (package)
        assert(package:check_csnippets({test = [[
            unsigned test(void) { return st_version(); }
        ]]}, {configs = {defines = "ST_IMPLEMENTATION"}, includes = "safetensors.h"}))
    end)
