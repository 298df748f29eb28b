-- A project that uses the package; packages/ here is a repository that `xmake` reads beside the public one.
add_repositories("safetensors-h-recipe .")
add_requires("safetensors-h")

target("consumer")
    set_kind("binary")
    add_files("../consumer.c")
    add_packages("safetensors-h")
