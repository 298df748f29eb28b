vcpkg_download_distfile(archive
    URLS "@URL@/safetensors-h-${VERSION}.tar.gz"
    FILENAME "safetensors-h-${VERSION}.tar.gz"
    SHA512 @SHA512@
)
vcpkg_extract_source_archive(source ARCHIVE "${archive}")
vcpkg_check_features(OUT_FEATURE_OPTIONS options FEATURES shared SAFETENSORS_SHARED)
if(NOT "shared" IN_LIST FEATURES)
    set(VCPKG_BUILD_TYPE release) # header only
endif()
vcpkg_cmake_configure(SOURCE_PATH "${source}/examples/integration/cmake" OPTIONS ${options})
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/safetensors)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include")
if(NOT "shared" IN_LIST FEATURES)
    file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib/cmake")
endif()
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${source}/LICENSE")
