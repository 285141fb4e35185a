let
  b = builtins;
  strings = {
    inherit (b) concatStringsSep;
    optionalString = c: s: if c then s else "";
    escapeShellArg = s: "'${b.replaceStrings [ "'" ] [ "'\\''" ] (toString s)}'";
    hasSuffix = p: s: let n = b.stringLength s; m = b.stringLength p; in m <= n && b.substring (n - m) m s == p;
    splitString = sep: s: b.filter b.isString (b.split sep s);
    hasPrefix = p: s: b.substring 0 (b.stringLength p) s == p;
    toLower = b.replaceStrings (splitChars "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (splitChars "abcdefghijklmnopqrstuvwxyz");
  };
  splitChars = s: b.genList (i: b.substring i 1 s) (b.stringLength s);
  # A strict subset of lib.fileset: unions of paths and directories.
  fileset = {
    unions = l: { _set = b.concatMap (x: if b.isAttrs x then x._set else if b.pathExists x then [ x ] else throw "fileset: ${toString x} does not exist") l; };
    toSource = { root, fileset }: {
      outPath = b.path {
        path = root;
        name = "source";
        filter = p: _: b.any (x: let s = toString x; in s == p || strings.hasPrefix (s + "/") p || strings.hasPrefix (p + "/") s) (fileset._set or [ fileset ]);
      };
    };
  };
in
strings
// {
  inherit fileset;
  inherit (b) concatMap mapAttrs;
  genAttrs = names: f: b.listToAttrs (map (n: { name = n; value = f n; }) names);
  mapAttrsToList = f: s: map (n: f n s.${n}) (b.attrNames s);
  optionals = c: l: if c then l else [ ];
  optionalAttrs = c: s: if c then s else { };
  importTOML = p: b.fromTOML (b.readFile p);
  getName = p: p.pname or (b.parseDrvName p.name).name;
  getExe' = p: n: if p ? bins && !(b.elem n p.bins) then throw "getExe': ${p.name} has no program ${n}" else "${p.bin or p}/bin/${n}";
  getExe = p: "${p}/bin/${p.meta.mainProgram or (throw "getExe: ${p.name} has no meta.mainProgram")}";
  makeBinPath = l: b.concatStringsSep ":" (map (p: "${p}/bin") l);
  licenses = { mit.spdxId = "MIT"; asl20.spdxId = "Apache-2.0"; sspl = { spdxId = "SSPL-1.0"; free = false; }; };
}
