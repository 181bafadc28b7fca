// Judge asks BouncyCastle what it thinks of evidence records. Each line of
// standard input is RECORD DATA..., paths of files; each line of standard
// output is "valid" or "invalid" and the reason.
//
//   java -cp bcpkix.jar:bcprov.jar:bcutil.jar Judge.java

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;

import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.ers.ERSByteData;
import org.bouncycastle.tsp.ers.ERSData;
import org.bouncycastle.tsp.ers.ERSDataGroup;
import org.bouncycastle.tsp.ers.ERSEvidenceRecord;

public class Judge {
  public static void main(String[] args) throws Exception {
    Security.addProvider(new BouncyCastleProvider());
    DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().setProvider("BC").build();
    // The tests' clock runs years ahead.
    Date end = new Date(System.currentTimeMillis() + 100L * 365 * 24 * 3600 * 1000);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      System.out.println(judge(line.split(" "), digests, end));
    }
  }

  static String judge(String[] files, DigestCalculatorProvider digests, Date end) {
    try {
      ERSEvidenceRecord record = new ERSEvidenceRecord(Files.readAllBytes(Path.of(files[0])), digests);
      List<ERSData> data = new ArrayList<>();
      for (int i = 1; i < files.length; i++) {
        data.add(new ERSByteData(Files.readAllBytes(Path.of(files[i]))));
      }
      record.validatePresent(data.size() == 1 ? data.get(0) : new ERSDataGroup(data), end);
      record.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(record.getSigningCertificate()));
      return "valid";
    } catch (Exception e) {
      return "invalid " + e;
    }
  }
}
