import os
from conan import ConanFile
from conan.tools.files import copy, get
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class SafetensorsHConan(ConanFile):
    name = "safetensors-h"
    description = "Reads, validates, converts and writes safetensors files: one C header"
    license = ("Unlicense", "MIT-0")
    homepage = "@HOMEPAGE@"
    url = "https://github.com/conan-io/conan-center-index"
    topics = ("safetensors", "tensor", "machine-learning", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    def layout(self):
        basic_layout(self, src_folder="src")

    def package_id(self):
        self.info.clear()

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def package(self):
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        copy(self, "safetensors.h", src=self.source_folder, dst=os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "safetensors")
        self.cpp_info.set_property("cmake_target_name", "safetensors::safetensors")
        self.cpp_info.set_property("pkg_config_name", "safetensors")
