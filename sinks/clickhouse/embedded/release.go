package embedded

import "runtime"

// Version is the pinned release of the engine's library. The npm tag `latest`
// of these packages is older, so the version is always named.
const Version = "26.7.3-stable.1"

// release is one platform's build of the library as npm publishes it.
type release struct {
	// pkg is the npm package that holds libchdb.
	pkg string
	// integrity is the tarball's SHA-512 in npm's notation. Empty where no
	// value is pinned; then the registry's own published value is compared,
	// and the progress line says so.
	integrity string
	// library is the file inside the package, without the `package/` prefix.
	library string
	// download and unpacked are rounded sizes in MB, for the progress line.
	download, unpacked int
}

// releaseFor returns the build for an operating system and architecture in
// Go's names. The second result is false where none is published.
func releaseFor(goos, goarch string) (release, bool) {
	switch goos + "/" + goarch {
	case "linux/amd64":
		return release{
			pkg:       "@chdb/lib-linux-x64-gnu",
			integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
			library:   "libchdb.so",
			download:  178, unpacked: 566,
		}, true
	case "linux/arm64":
		return release{pkg: "@chdb/lib-linux-arm64-gnu", library: "libchdb.so", download: 170, unpacked: 550}, true
	case "darwin/amd64":
		return release{pkg: "@chdb/lib-darwin-x64", library: "libchdb.so", download: 150, unpacked: 450}, true
	case "darwin/arm64":
		return release{pkg: "@chdb/lib-darwin-arm64", library: "libchdb.so", download: 140, unpacked: 430}, true
	}
	return release{}, false
}

// currentRelease returns the build for the running process.
func currentRelease() (release, bool) { return releaseFor(runtime.GOOS, runtime.GOARCH) }
