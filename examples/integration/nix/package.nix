{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "safetensors-h";
  version = "0.5.1";

  src = fetchurl {
    url = "@URL@/safetensors-h-${finalAttrs.version}.tar.gz";
    hash = "@SRI@";
  };

  enableParallelBuilding = true;
  makeFlags = [ "PREFIX=${placeholder "out"}" ];
  buildFlags = [
    "build/st"
    "lib"
  ];
  installTargets = [
    "install"
    "install-lib"
  ];

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    make build/demo.safetensors
    $out/bin/st check build/demo.safetensors
    runHook postInstallCheck
  '';

  meta = {
    description = "Reads, validates, converts and writes safetensors files: one C header";
    homepage = "@HOMEPAGE@";
    license = with lib.licenses; [
      unlicense
      mit0
    ];
    mainProgram = "st";
    platforms = lib.platforms.unix;
  };
})
