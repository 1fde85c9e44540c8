"""moto's server with the one thing that the KMS signer needs and moto 5.2.5 does not have: MessageType DIGEST, for
which it would hash the digest once more. A request that is not for a digest of 32 bytes is refused."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from moto.kms import responses
from moto.kms import utils as kms
from moto.kms.exceptions import ValidationException
from moto.server import main

sign_request = responses.KmsResponse.sign


def sign(self):
    if self._get_param("MessageType") != "DIGEST":
        raise ValidationException("expected a digest")
    return sign_request(self)


def sign_digest(self, message, signing_algorithm):
    if len(message) != 32 or signing_algorithm != "ECDSA_SHA_256":
        raise ValidationException("Digest is invalid length for algorithm " + signing_algorithm)
    return self.private_key.sign(message, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


responses.KmsResponse.sign = sign
kms.ECDSAPrivateKey.sign = sign_digest

if __name__ == "__main__":
    main()
