// A consumer: the package needs no build.zig of its own, as it is one header.
const std = @import("std");

pub fn build(b: *std.Build) void {
    const safetensors = b.dependency("safetensors", .{});
    const module = b.createModule(.{
        .target = b.standardTargetOptions(.{}),
        .optimize = b.standardOptimizeOption(.{}),
        .link_libc = true,
    });
    module.addIncludePath(safetensors.path("."));
    module.addCSourceFile(.{ .file = safetensors.path("examples/integration/consumer.c"), .flags = &.{"-std=gnu99"} });

    const consumer = b.addExecutable(.{ .name = "consumer", .root_module = module });
    b.installArtifact(consumer);

    const run = b.addRunArtifact(consumer);
    b.step("run", "run the consumer").dependOn(&run.step);
}
