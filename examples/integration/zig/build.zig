// Written for Zig 0.14, not run. From Zig itself: const st = @cImport(@cInclude("safetensors.h"));
const std = @import("std");

pub fn build(b: *std.Build) void {
    const module = b.createModule(.{
        .target = b.standardTargetOptions(.{}),
        .optimize = b.standardOptimizeOption(.{}),
        .link_libc = true,
    });
    module.addIncludePath(.{ .cwd_relative = b.pathFromRoot("../../..") });
    module.addCSourceFile(.{ .file = .{ .cwd_relative = b.pathFromRoot("../consumer.c") }, .flags = &.{"-std=gnu99"} });

    const consumer = b.addExecutable(.{ .name = "consumer", .root_module = module });
    b.installArtifact(consumer);

    const run = b.addRunArtifact(consumer);
    b.step("run", "run the consumer").dependOn(&run.step);
}
